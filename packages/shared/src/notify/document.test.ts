import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { messageSchema } from './index.ts'

const document = readFileSync(join(import.meta.dirname, '../../../../docs/webhook.md'), 'utf8')

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(document)?.[1]
  if (found === undefined) throw new Error(`docs/webhook.md has no ${language} block.`)
  return found
}

describe('docs/webhook.md', () => {
  it('has an example that is a message, with every field', () => {
    const example: unknown = JSON.parse(block('json'))
    expect(messageSchema.strict().parse(example)).toEqual(example)
    expect(Object.keys(example as object).sort()).toEqual(Object.keys(messageSchema.shape).sort())
  })

  it('explains every field', () => {
    const explained = [...document.matchAll(/^\| (`.*?) \|/gm)].flatMap(
      ([, names = '']) => names.match(/\w+/g) ?? [],
    )
    expect(explained.sort()).toEqual(Object.keys(messageSchema.shape).sort())
  })

  const body = block('json')
  const secret = 'a secret: “ü” $'
  const genuine = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`

  it('has a check for Node that tells genuine from forged', async () => {
    await using directory = await temporaryDirectory()
    const script = `${block('js')}
      const { BODY, SECRET, HEADERS } = process.env
      console.log(JSON.stringify(JSON.parse(HEADERS).map((header) => isGenuine(BODY, header, SECRET))))`
    writeFileSync(directory.join('check.mjs'), script)
    const headers = [
      genuine,
      genuine.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
      '',
      'sha256=',
      null,
    ]
    const env = { ...process.env, BODY: body, SECRET: secret, HEADERS: JSON.stringify(headers) }
    const said = execFileSync(process.execPath, [directory.join('check.mjs')], { env, encoding: 'utf8' })
    expect(JSON.parse(said)).toEqual([true, false, false, false, false])
  })

  it('has a check for the shell that tells genuine from forged', async () => {
    await using directory = await temporaryDirectory()
    writeFileSync(directory.join('body.json'), body)
    const check = (header: string) => {
      const env = { ...process.env, SECRET: secret, HEADER: header }
      return execFileSync('sh', ['-c', block('sh')], { env, cwd: directory.path, encoding: 'utf8' }).trim()
    }
    expect(check(genuine)).toBe('genuine')
    expect(check(genuine.slice(0, -1))).toBe('forged')
  })
})
