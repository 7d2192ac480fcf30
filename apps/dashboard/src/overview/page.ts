import { html, type Html } from './html.ts'

/** Where the stylesheet is served. */
export const stylePath = '/dashboard.css'

/** A page of ours: no script, one stylesheet. */
export function page(title: string, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${stylePath}" />
      </head>
      <body>
        <header>
          <p>SecuryFlex Backup</p>
          <nav><a href="/">Backups</a> <a href="/board/">Queues</a></nav>
        </header>
        <main>${content}</main>
      </body>
    </html>`.toString()
}

/** Dark text on light ground or the reverse, as the visitor's system has it; contrasts are at least 4.5 : 1. */
export const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b2430; --soft: #4b5768; --line: #d3d9e1; --box: #f3f5f8;
  --link: #0b57c2; --good: #146c2e; --warn: #8a4b00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171e; --text: #e7ecf2; --soft: #a9b4c2; --line: #323c49;
  --box: #1b222c; --link: #8ab8ff; --good: #6fd08c; --warn: #f0b35c; --bad: #ff9a91; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: baseline; padding: .75rem 1rem;
  border-bottom: 1px solid var(--line); }
header p { margin: 0; font-weight: 600; }
nav a { display: inline-block; padding: .4rem .5rem; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
a { color: var(--link); }
code, pre { font: .9rem/1.5 ui-monospace, monospace; }
pre { margin: .5rem 0; padding: .6rem .8rem; background: var(--ground); border: 1px solid var(--line); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.notice { margin: 0 0 1rem; padding: .8rem 1rem; background: var(--box); border-left: 4px solid var(--warn); border-radius: 4px; }
.notice p { margin: 0; } .notice p + p { margin-top: .4rem; }
form.inline { display: inline; } button { font: inherit; font-size: .9rem; padding: .15rem .6rem; margin: 0 .2rem; }
.soft { color: var(--soft); }
.success { color: var(--good); } .degraded, .cancelled, .unknown { color: var(--warn); } .failed { color: var(--bad); }
.outcome { font-weight: 600; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
.told { white-space: normal; overflow-wrap: anywhere; }
p { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.why { display: block; color: var(--soft); }
@media (max-width: 40rem) {
  .runs thead { display: none; }
  .runs tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .runs td { display: block; padding: 0; border: 0; text-align: left; white-space: normal; }
  .runs td:first-child { font-weight: 600; }
  .runs td[data-label]::before { content: attr(data-label) ': '; color: var(--soft); }
  .runs td:empty { display: none; }
  .queues th, .queues td { padding-right: .4rem; font-size: .9rem; }
  .queues td:first-child { white-space: normal; }
}
`
