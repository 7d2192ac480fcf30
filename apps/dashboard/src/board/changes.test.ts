import { describe, expect, it } from '@jest/globals'
import { appRoutes } from '@bull-board/api/dist/routes.js'
import type { BullBoardRequest } from '@bull-board/api/typings/app'
import { judgeChange } from './changes.ts'

const reading = appRoutes.api.filter(({ method }) => method === 'get')
const changing = appRoutes.api.filter(({ method }) => method !== 'get')

const allowedOnDump = [
  'put /api/queues/:queueName/:jobId/promote',
  'put /api/queues/:queueName/:jobId/retry',
  'put /api/queues/:queueName/pause',
  'put /api/queues/:queueName/promote',
  'put /api/queues/:queueName/resume',
  'put /api/queues/resume',
]

describe('changes from the board', () => {
  it('are refused with a sentence, but for those that backups survive', async () => {
    const verdicts = await Promise.all(
      changing.map(async ({ method, route }) => ({
        change: `${String(method)} ${String(route)}`,
        verdict: await judge(String(method), String(route), 'dump'),
      })),
    )
    const allowed = verdicts.filter(({ verdict }) => verdict?.allow).map(({ change }) => change)
    expect(allowed.sort()).toEqual(allowedOnDump)
    for (const { verdict } of verdicts.filter(({ verdict }) => !verdict?.allow)) {
      expect(verdict?.status).toBe(403)
      expect(verdict?.message).toMatch(/^[A-Z].{20,}/)
    }
  })

  it('are refused on the schedule’s queue, but for resuming', async () => {
    const allowed: string[] = []
    for (const { route, method } of changing) {
      if ((await judge(String(method), String(route), 'schedule'))?.allow) allowed.push(String(route))
    }
    expect(allowed.sort()).toEqual(['/api/queues/:queueName/resume', '/api/queues/resume'])
  })

  it('are refused on a route that nobody has thought about', async () => {
    expect(await judge('put', '/api/queues/:queueName/explode', 'dump')).toMatchObject({ allow: false })
  })

  it('leave reading alone', async () => {
    for (const { route } of reading) expect(await judge('get', String(route), 'run')).toEqual({ allow: true })
  })
})

async function judge(method: string, route: string, queueName: string) {
  const request: BullBoardRequest = {
    queues: new Map(),
    uiConfig: {},
    query: {},
    params: { queueName, jobId: 'x', queueStatus: 'failed', schedulerId: 'x' },
    body: {},
    headers: {},
  }
  const verdict = await judgeChange({ method: method as 'put', route, request })
  return verdict ?? undefined
}
