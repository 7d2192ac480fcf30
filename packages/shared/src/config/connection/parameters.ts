/**
 * Parameters that libpq knows and this project passes on as they are, with the environment variable that
 * means the same, where there is one
 * (https://www.postgresql.org/docs/current/libpq-connect.html and libpq-envars.html).
 */
const kept: Readonly<Record<string, string | undefined>> = {
  application_name: 'PGAPPNAME',
  channel_binding: 'PGCHANNELBINDING',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  fallback_application_name: undefined,
  gssdelegation: 'PGGSSDELEGATION',
  gssencmode: 'PGGSSENCMODE',
  gsslib: 'PGGSSLIB',
  keepalives: undefined,
  keepalives_count: undefined,
  keepalives_idle: undefined,
  keepalives_interval: undefined,
  krbsrvname: 'PGKRBSRVNAME',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  max_protocol_version: 'PGMAXPROTOCOLVERSION',
  min_protocol_version: 'PGMINPROTOCOLVERSION',
  options: 'PGOPTIONS',
  require_auth: 'PGREQUIREAUTH',
  requirepeer: 'PGREQUIREPEER',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  sslcertmode: 'PGSSLCERTMODE',
  sslcompression: 'PGSSLCOMPRESSION',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslsni: 'PGSSLSNI',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  tcp_user_timeout: undefined,
}

/** Parameters that become fields of a connection, with their environment variables. */
const understood: Readonly<Record<string, string | undefined>> = {
  dbname: 'PGDATABASE',
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  passfile: 'PGPASSFILE',
  password: 'PGPASSWORD',
  port: 'PGPORT',
  service: 'PGSERVICE',
  servicefile: 'PGSERVICEFILE',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslmode: 'PGSSLMODE',
  sslpassword: undefined,
  sslrootcert: 'PGSSLROOTCERT',
  user: 'PGUSER',
}

/** Parameters of libpq that make no sense for a backup, each with what is said when it is dropped. */
const meaningless: Readonly<Record<string, string>> = {
  authtype: 'PostgreSQL has not used it for years',
  client_encoding: 'a dump is made in the encoding of its database',
  replication: 'a dump needs an ordinary connection',
  requiressl: 'its place was taken by sslmode',
  sslkeylogfile: 'it would write down the keys of the connection',
  tty: 'PostgreSQL has not used it for years',
}

/** Parameters of ORMs, drivers and poolers that appear in the connection strings of applications. */
const ofApplications = new Set([
  // Prisma
  ...[
    'connection_limit',
    'pgbouncer',
    'pool_timeout',
    'schema',
    'socket_timeout',
    'sslaccept',
    'sslidentity',
  ],
  ...['statement_cache_size', 'single_use_connections'],
  // JDBC
  ...[
    'ApplicationName',
    'connectTimeout',
    'currentSchema',
    'loginTimeout',
    'preferQueryMode',
    'prepareThreshold',
  ],
  ...[
    'reWriteBatchedInserts',
    'socketTimeout',
    'sslfactory',
    'stringtype',
    'targetServerType',
    'tcpKeepAlive',
  ],
  // Rails, Django, SQLAlchemy, asyncpg
  ...[
    'advisory_locks',
    'checkout_timeout',
    'command_timeout',
    'encoding',
    'idle_timeout',
    'max_overflow',
    'max_size',
  ],
  ...['min_size', 'pool', 'pool_mode', 'pool_recycle', 'pool_size', 'prepared_statement_cache_size'],
  ...['prepared_statements', 'reaping_frequency', 'conn_max_age'],
  // pgx and lib/pq
  ...['binary_parameters', 'default_query_exec_mode', 'pool_health_check_period', 'pool_max_conn_idle_time'],
  ...['pool_max_conn_lifetime', 'pool_max_conns', 'pool_min_conns', 'prefer_simple_protocol', 'search_path'],
  ...['statement_cache_capacity', 'statement_cache_mode'],
  // node-postgres, postgres.js, Sequelize, hosted pools
  ...[
    'idle_in_transaction_session_timeout',
    'max',
    'max_lifetime',
    'prepare',
    'query_timeout',
    'statement_timeout',
  ],
  ...['supa', 'uselibpqcompat', 'workaround'],
])

/** All environment variables that give a setting which the connection string does not. */
export const settingVariables: Readonly<Record<string, string>> = withVariable({ ...understood, ...kept })

/** Every name that may be written into a connection string. */
export const parameterNames: readonly string[] = Object.keys({ ...understood, ...kept })

/** Whether libpq understands it and it is passed on as it is. */
export function isKept(name: string): boolean {
  return Object.hasOwn(kept, name)
}

/** Whether it can be used at all. */
export function isKnown(name: string): boolean {
  return isKept(name) || Object.hasOwn(understood, name)
}

/** Why a parameter may be dropped with a notice; undefined if it may not. */
export function reasonToDrop(name: string): string | undefined {
  if (Object.hasOwn(meaningless, name)) return meaningless[name]
  if (name === 'pgbouncer')
    return 'it is for an application; make sure that the address is not that of a pooler'
  if (name === 'schema' || name === 'currentSchema' || name === 'search_path') {
    return 'all schemas of the database are backed up'
  }
  return ofApplications.has(name) ? 'it is for an application, not for PostgreSQL’s own programs' : undefined
}

function withVariable(table: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([name, variable]) => (variable === undefined ? [] : [[name, variable]])),
  )
}
