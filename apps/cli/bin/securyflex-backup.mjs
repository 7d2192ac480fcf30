#!/usr/bin/env node
// `npx --no securyflex-backup <command>`: any Node >= 20 may start this; the product itself runs on Node 26.
import { run } from '../../../scripts/run.mjs'

process.exitCode = await run('cli', process.argv.slice(2))
