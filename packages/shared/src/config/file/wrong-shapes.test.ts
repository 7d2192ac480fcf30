import { describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { parse, stringify } from 'yaml'
import { loadConfig } from '../load.ts'
import { configurationSchema } from './schema.ts'

interface Node {
  readonly properties?: Readonly<Record<string, Node>>
  readonly additionalProperties?: Node | false
  readonly anyOf?: readonly Node[]
}

/** Every place of the grammar, maps and single values, an entry of a section being called `shop`. */
function places(node: Node, way: readonly string[] = []): string[][] {
  const below = node.properties ?? node.anyOf?.find((one) => one.properties !== undefined)?.properties ?? {}
  const entry = node.additionalProperties ? places(node.additionalProperties, [...way, 'shop']) : []
  return [[...way], ...entry, ...Object.entries(below).flatMap(([key, one]) => places(one, [...way, key]))]
}

const at = (way: readonly string[], value: unknown) =>
  way.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)

/** What is wrong with a file, by line. */
function troubles(file: string): string[] {
  try {
    // Examples of secrets name variables; those that a file names are set.
    const env: Record<string, string> = { HOME: '/nowhere', BACKUP_WEBHOOK_URL: 'https://h.example/' }
    for (const [, name = ''] of file.matchAll(/\$\{(\w+)\}/g)) env[name] = 'set'
    loadConfig({ env, directory: '/nowhere', needs: [], texts: { file, dotenv: '' } })
    return []
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const lines = error.message.split('\n').filter((line) => line.startsWith('  '))
    return lines.length > 0 ? lines.map((line) => line.trim()) : [`${error.message} ${error.hint ?? ''}`]
  }
}

const ways = places(configurationSchema() as Node).filter((way) => way.length > 0)

describe('a value of a shape that cannot be', () => {
  it.each(ways.map((way) => [way.join('.'), way] as const))(
    'is told with a valid example: %s',
    (name, way) => {
      const file = `# first line\n${stringify(at(way, [[1]]))}`
      const line = String(file.split('\n').findIndex((text) => text.trim().startsWith('- - 1')) + 1)
      const told = troubles(file).filter((text) => text.includes(` ${name}`))
      expect(told).toHaveLength(1)
      const shown = new RegExp(
        `^backup\\.config\\.yaml:${line} ${name.replaceAll('.', '\\.')}(\\.0)?: .+\\. Write for example (.+)\\.$`,
      )
      const [, , example = ''] = shown.exec(told[0] ?? '') ?? []
      expect({ told, example }).not.toEqual({ told, example: '' })

      const given = parse(example) as Record<string, unknown>
      const value =
        typeof given === 'object' && Object.hasOwn(given, way.at(-1) ?? '') ? given[way.at(-1) ?? ''] : given
      const corrected = stringify(at(way, value))
      expect(
        troubles(corrected).filter((text) =>
          new RegExp(
            ` ${name.replaceAll('.', '\\.')}(\\.0)?: (?!it (has a url|says nothing|does not say)|there is no)`,
          ).test(text),
        ),
      ).toEqual([])
    },
  )

  it('is told of the file as a whole, too', () => {
    expect(troubles('[1]\n')).toEqual([
      expect.stringMatching(
        /^backup\.config\.yaml:1: it has to be a map.*Write for example \{ defaults: \{ schedule: /,
      ),
    ])
  })
})
