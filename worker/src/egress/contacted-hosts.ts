/** One host that a build asked for, and what became of it. */
export type Contact = {
  host: string
  port: number
  allowed: boolean
  connections: number
  bytesOut: number
  bytesIn: number
}

const mostContacts = 500

/** Which hosts a build asked for. The number that is kept is bounded; what comes on top is only counted. */
export class ContactedHosts {
  readonly #contacts = new Map<string, Contact>()
  #uncounted = 0

  /** Notes one request; `isFirst` when this host was not asked for with this outcome before. */
  note(host: string, port: number, allowed: boolean): { contact: Contact; isFirst: boolean } {
    const key = `${host}:${port} ${allowed}`
    const known = this.#contacts.get(key)
    const contact = known ?? { host, port, allowed, connections: 0, bytesOut: 0, bytesIn: 0 }
    contact.connections += 1
    if (known !== undefined) return { contact, isFirst: false }
    if (this.#contacts.size >= mostContacts) {
      this.#uncounted += 1
      return { contact, isFirst: false }
    }
    this.#contacts.set(key, contact)
    return { contact, isFirst: true }
  }

  /** A line for each host, for the build's log. */
  summary(): string[] {
    const contacts = [...this.#contacts.values()].sort((a, b) => b.bytesIn - a.bytesIn)
    const lines = contacts.map(({ host, port, allowed, connections, bytesOut, bytesIn }) =>
      allowed
        ? `Network: ${host}:${port} allowed, ${connections} connections, ${bytesIn} bytes in, ${bytesOut} bytes out`
        : `Network: ${host}:${port} refused, asked for ${connections} times`,
    )
    if (this.#uncounted > 0) lines.push(`Network: ${this.#uncounted} requests to further hosts`)
    return lines
  }
}
