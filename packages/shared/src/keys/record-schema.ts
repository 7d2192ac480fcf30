import { z } from 'zod'

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${String(bytes * 2)}}$`))

/** A data key wrapped under what the user keeps; docs/format.md, "Keys". Limits keep a hostile record cheap. */
export const keyRecordSchema = z.object({
  format: z.literal(1),
  kind: z.literal('wrapped'),
  id: hex(16),
  created: z.iso.datetime(),
  kdf: z.discriminatedUnion('name', [
    z.object({ name: z.literal('raw'), salt: hex(16) }),
    z.object({
      name: z.literal('scrypt'),
      N: z
        .int()
        .min(2)
        .max(2 ** 20),
      r: z.int().min(1).max(32),
      p: z.int().min(1).max(16),
      salt: hex(16),
    }),
  ]),
  check: hex(8),
  wrapped: hex(60),
})
export type KeyRecord = z.infer<typeof keyRecordSchema>
