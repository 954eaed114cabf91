import { expect, test } from 'vitest'
import { networkOf } from './client-address.js'

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::9', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['2001:0DB8:0001:0002:ffff::', '2001:db8:1:2'],
])('limits count %s as %s', (address, network) => expect(networkOf(address)).toBe(network))

test('nobody knows where a caller without an address is', () => expect(networkOf(null)).toBe(''))
