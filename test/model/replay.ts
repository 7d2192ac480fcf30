// Plays a history again, or those of a seed:
//   node test/model/replay.ts '{"encrypted":…}'
//   node test/model/replay.ts <seed> [how many]
import type { History } from './history.ts'
import { play } from './play.ts'
import { tell } from './tell.ts'

const [what = '', many = '5000'] = process.argv.slice(2)
await (what.startsWith('{') ? play(JSON.parse(what) as History) : tell(Number(what), Number(many)))
process.stdout.write('Every promise is kept.\n')
