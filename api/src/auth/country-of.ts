import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { Reader, type Response } from 'mmdb-lib'

/** The country of an address as its ISO 3166-1 code; null: not known. */
export type CountryOf = (address: string | null) => string | null

/** The forms that MaxMind and DB-IP, and the databases without a licence of their own, have. */
type CountryRecord = { country?: { iso_code?: string }; country_code?: string }

/** Reads a database of countries (MaxMind DB) into memory, so that asking it costs no I/O. Throws where it is none. */
export async function openCountries(file: string): Promise<CountryOf> {
  const bytes = await readFile(file)
  const countries = open(file, bytes)
  return (address) => {
    if (address === null || isIP(address) === 0) return null
    const { country, country_code } = countries.get(address) ?? {}
    return country?.iso_code ?? country_code ?? null
  }
}

function open(file: string, bytes: Buffer): Reader<CountryRecord & Response> {
  try {
    return new Reader<CountryRecord & Response>(bytes)
  } catch (cause) {
    throw new TypeError(`COUNTRY_DATABASE_FILE: ${file} is no MaxMind DB.`, { cause })
  }
}
