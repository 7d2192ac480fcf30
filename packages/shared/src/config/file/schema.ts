import { z } from 'zod'
import { fileSchema } from './grammar.ts'

/**
 * What editors check `backup.config.yaml` by: docs/backup.config.schema.json, from the grammar. Print it with
 * `npx --no securyflex-backup config schema`.
 */
export function configurationSchema(): Record<string, unknown> {
  return z.toJSONSchema(fileSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const { examples, orScalar } = z.globalRegistry.get(zodSchema as unknown as z.ZodType) ?? {}
      if (Array.isArray(examples)) jsonSchema.examples = examples.map(String).map(bare)
      // What is read in several shapes says so itself; what it becomes is no business of editors.
      if (jsonSchema.anyOf !== undefined) {
        delete jsonSchema.type
        delete jsonSchema.items
      }
      if (orScalar === undefined || jsonSchema.properties === undefined) return
      const { properties, additionalProperties } = jsonSchema
      jsonSchema.anyOf = [
        orScalar as object as z.core.JSONSchema.JSONSchema,
        { type: 'object', properties, additionalProperties: additionalProperties ?? false },
      ]
      delete jsonSchema.type
      delete jsonSchema.properties
      delete jsonSchema.additionalProperties
      delete jsonSchema['orScalar']
    },
  })
}

/** Examples of lines of the file have quotation marks where YAML needs them. */
function bare(example: string): string {
  return example.replace(/^"(.*)"$/, '$1')
}
