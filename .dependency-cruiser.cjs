// The rooms and their floors, as the design lists them. A room may import only rooms on lower floors, through their doors.
const floors = [
  ['errors'],
  ['config', 'logging', 'files', 'keys'],
  ['storage', 'postgres', 'segments', 'notify', 'schedule'],
  ['queue', 'spool', 'repository'],
  ['history'],
  ['health', 'backup'],
]

const rooms = floors.flat()
const room = (/** @type {string} */ name) => `^packages/shared/src/${name}/`
const anyOf = (/** @type {string[]} */ names) => `^packages/shared/src/(?:${names.join('|')})/`

/** One rule for each room: everything in it, tests too, keeps to itself and to the floors below. */
const floorRules = floors.flatMap((names, floor) =>
  names.map((name) => {
    const others = floors
      .slice(floor)
      .flat()
      .filter((other) => other !== name)
    return {
      name: `floor-${floor}-${name}`,
      comment: `${name} stands on floor ${floor}: it imports only lower floors.`,
      severity: 'error',
      from: { path: room(name) },
      to: { path: others.length > 0 ? anyOf(others) : '^$' },
    }
  }),
)

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...floorRules,
    {
      name: 'known-rooms',
      comment: 'Every directory of packages/shared/src is a room that has its floor in the list above.',
      severity: 'error',
      from: {},
      to: { path: '^packages/shared/src/', pathNot: anyOf(rooms) },
    },
    {
      name: 'rooms-by-their-door-from-rooms',
      comment: 'Another room is imported as @securyflex/shared/<room>, which is its index.ts.',
      severity: 'error',
      from: { path: '^packages/shared/src/([^/]+)/' },
      to: {
        path: '^packages/shared/src/[^/]+/',
        pathNot: ['^packages/shared/src/$1/', '^packages/shared/src/[^/]+/index\\.ts$'],
      },
    },
    {
      name: 'rooms-by-their-door-from-outside',
      comment: 'Applications and tests import @securyflex/shared/<room>, never a file inside it.',
      severity: 'error',
      from: { pathNot: '^packages/shared/src/' },
      to: { path: '^packages/shared/src/', pathNot: '^packages/shared/src/[^/]+/index\\.ts$' },
    },
    {
      name: 'rooms-by-name',
      comment: 'Another room is imported by its published name, not by a relative path.',
      severity: 'error',
      from: { path: '^(?:packages/shared/src/([^/]+)/|(?:apps|test)/)' },
      to: { path: '^packages/shared/src/', pathNot: '^packages/shared/src/$1/', dependencyTypes: ['local'] },
    },
    {
      name: 'only-worker-and-cli-work',
      comment: 'Only the worker and the command line open PostgreSQL, segments, the spool and backups.',
      severity: 'error',
      from: { path: '^apps/(?!worker/|cli/)' },
      to: { path: anyOf(['postgres', 'segments', 'spool', 'backup']) },
    },
    {
      name: 'apps-apart',
      comment: 'Applications do not import each other …',
      severity: 'error',
      from: { path: '^apps/(?!cli/)([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'cli-starts-apps',
      comment: '… but the command line may start the others, through their published entry.',
      severity: 'error',
      from: { path: '^apps/cli/' },
      to: { path: '^apps/', pathNot: ['^apps/cli/', '^apps/[^/]+/src/index\\.ts$'] },
    },
    {
      name: 'shared-below-apps',
      comment: 'What is shared knows no application.',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^apps/' },
    },
    {
      name: 'product-without-tests',
      comment: 'The product imports neither tests nor what they use; its own tests may.',
      severity: 'error',
      from: { path: '^(?:apps|packages)/', pathNot: '\\.test\\.ts$' },
      to: { path: ['^test/', '\\.test\\.ts$'] },
    },
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'declared',
      comment: 'A package that is imported stands in the package.json beside it.',
      severity: 'error',
      from: { path: '^(?:apps|packages)/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Types count: what only describes another room is known of it all the same.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
