import { describe, expect, it } from '@jest/globals'
import { tunnelHint } from './tunnel-hint.ts'

describe('the ssh tunnel’s line', () => {
  it('names the server that the session is on', () => {
    const line = tunnelHint('203.0.113.7 51234 198.51.100.4 22', 3000, 'anna')
    expect(line).toBe('ssh -L 3000:127.0.0.1:3000 anna@198.51.100.4')
  })

  it('names the port of an sshd that listens elsewhere', () => {
    expect(tunnelHint('203.0.113.7 51234 198.51.100.4 2222', 3001, 'anna')).toContain('ssh -p 2222 -L 3001:')
  })

  it('brackets an IPv6 loopback address', () => {
    expect(tunnelHint('2001:db8::7 51234 2001:db8::4 22', 3000, 'anna', '::1')).toBe(
      'ssh -L 3000:[::1]:3000 anna@2001:db8::4',
    )
  })

  it.each([undefined, '', 'UNKNOWN'])('is not there outside of a session (%p)', (value) => {
    expect(tunnelHint(value, 3000)).toBeUndefined()
  })
})
