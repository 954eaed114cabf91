import { describe, expect, test } from 'vitest'
import { addressKind, canonicalAddress } from './address-kind.js'

describe('the kind of an address', () => {
  test.each([
    '1.1.1.1',
    '104.16.1.34',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '2606:4700::6810:122',
    '2001:4860:4860::8888',
    '::ffff:104.16.1.34',
    '64:ff9b::104.16.1.34',
    '64:ff9b::6810:122',
  ])('%s is public', (address) => expect(addressKind(address)).toBe('public'))

  test.each([
    '10.0.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '100.127.255.255',
    '198.19.0.1',
    '::1',
    '0:0:0:0:0:0:0:1',
    'fd12:3456::1',
    'fc00::1',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:7f00:1',
    '64:ff9b::192.168.1.1',
    '64:ff9b::a00:1',
  ])('%s is private', (address) => expect(addressKind(address)).toBe('private'))

  test.each([
    '0.0.0.0',
    '169.254.169.254',
    '192.0.0.192',
    '100.100.100.200',
    '168.63.129.16',
    '192.88.99.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::10.0.0.1',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::1.1.1.1',
    '2002:a9fe:a9fe::1',
    '2002:808:808::1',
    '2001::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'fd00:ec2::254',
    'ff02::1',
    'not an address',
    '1.1.1',
    '',
  ])('%s is forbidden', (address) => expect(addressKind(address)).toBe('forbidden'))
})

test.each([
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
  ['64:ff9b::cb00:7107', '203.0.113.7'],
  ['203.0.113.7', '203.0.113.7'],
  ['2606:4700:0:0::6810:122', '2606:4700:0:0:0:0:6810:122'],
  ['2606:4700::6810:122%eth0', '2606:4700:0:0:0:0:6810:122'],
  ['64:ff9b:1::cb00:7107', '64:ff9b:1:0:0:0:cb00:7107'],
  ['not an address', 'not an address'],
])('%s is compared as %s', (address, canonical) => expect(canonicalAddress(address)).toBe(canonical))
