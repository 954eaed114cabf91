const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost']
/** What people sign in with, and nothing that a parser of addresses could read in two ways. */
const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/

export const isMailAddress = (text: string): boolean => ADDRESS.test(text) && !text.includes('..')

export const isLoopback = (url: URL): boolean => LOOPBACK.includes(url.hostname)
