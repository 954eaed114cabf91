import { describe, expect, test } from 'vitest'
import { Problem } from '../problems.js'
import { readDeviceQuery } from './read-device-query.js'

const query = (search: string) => readDeviceQuery(`http://capstan.test/v1/x?${search}`)

describe('a device query', () => {
  test.each(['', 'other=1', 'name', 'name=', 'name&other=1'])('%j has no value for the name', (search) => {
    expect(query(search).get('name')).toBeNull()
    expect(query(search).readings('name')).toEqual([])
  })

  test.each([
    ['name=a%2Bb', ['a+b']],
    ['name=a%20b', ['a b']],
    ['name=a+b', ['a+b', 'a b']],
    ['name=a=b', ['a=b']],
    ['na%6De=x', ['x']],
    ['name=first&name=second', ['first']],
    ['name=%C3%BC#part', ['ü']],
  ])('%j reads as %j', (search, readings) => {
    expect(query(search).readings('name')).toEqual(readings)
    expect(query(search).get('name')).toBe(readings[0])
  })

  test.each(['name=%zz', 'name=%ff', 'name=a%00b', '%=1'])('%j is refused', (search) => {
    expect(() => query(search).get('name')).toThrow(Problem)
  })

  test('a URL without a query has no values', () => {
    expect(readDeviceQuery('http://capstan.test/v1/x').get('name')).toBeNull()
  })
})
