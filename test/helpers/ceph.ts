import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { tiedToUs } from '../run/tied-to-us.ts'
import { freePort } from './free-port.ts'
import { type TemporaryDirectory, temporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)

/** A user of the gateway. */
export interface CephUser {
  readonly name: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Ceph's RADOS Gateway on a monitor and an object store of its own, everything in memory: a real S3 server. */
export interface Ceph extends AsyncDisposable {
  readonly port: number
  readonly endpoint: string
  readonly owner: CephUser
  /** A user that may do nothing until a policy says otherwise. */
  addUser(name: string): Promise<CephUser>
  /** A client with everything that the owner may. */
  client(): S3Client
  makeBucket(name: string, options?: { objectLock?: boolean }): Promise<string>
}

const programs = ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'monmaptool', 'ceph']

/** Whether its programs are on this machine; `npm run test:contract` installs them where there is apt. */
export function cephIsThere(): boolean {
  return programs.every((name) => existsSync(`/usr/bin/${name}`))
}

/** Starts one, about three seconds. A port may be taken by somebody else meanwhile: then it is tried again. */
export async function startCeph(): Promise<Ceph> {
  for (let attempt = 1; ; attempt++) {
    const directory = await temporaryDirectory()
    const cluster = new Cluster(directory)
    try {
      return await cluster.start()
    } catch (error) {
      const log = await readFile(directory.join('said'), 'utf8').catch(() => '')
      await cluster.stop()
      if (attempt === 3) throw new Error(`Ceph did not start.\n${log}`, { cause: error })
    }
  }
}

class Cluster {
  readonly #directory: TemporaryDirectory
  readonly #daemons: ChildProcess[] = []
  #said = ''

  constructor(directory: TemporaryDirectory) {
    this.#directory = directory
  }

  async start(): Promise<Ceph> {
    const [monitor, port] = [await freePort(), await freePort()]
    const id = randomUUID()
    for (const name of ['mon', 'osd', 'run', 'rgw']) await mkdir(this.#directory.join(name))
    await writeFile(this.#directory.join('ceph.conf'), this.#configuration(id, monitor, port))
    await this.#startMonitor(id, monitor)
    await this.#startObjectStore()
    const owner = await this.#addUser('owner')
    this.#spawn('radosgw', '-n', 'client.rgw')
    const endpoint = `http://127.0.0.1:${String(port)}`
    await this.#until(async () => (await fetch(endpoint)).ok)
    const client = () =>
      new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: owner })
    return {
      port,
      endpoint,
      owner,
      client,
      addUser: (name) => this.#addUser(name),
      async makeBucket(name, { objectLock = false } = {}) {
        await client().send(
          new CreateBucketCommand({
            Bucket: name,
            ...(objectLock ? { ObjectLockEnabledForBucket: true } : {}),
          }),
        )
        return name
      },
      [Symbol.asyncDispose]: () => this.stop(),
    }
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.toReversed()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) continue
      const exit = once(daemon, 'exit')
      daemon.kill('SIGKILL')
      await exit
    }
    await this.#directory.remove()
  }

  async #startMonitor(id: string, port: number): Promise<void> {
    const map = this.#directory.join('monmap')
    await run('monmaptool', ['--create', '--fsid', id, '--addv', 'a', `[v1:127.0.0.1:${String(port)}]`, map])
    await this.#run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', map)
    this.#spawn('ceph-mon', '-i', 'a')
    await this.#until(async () => (await this.#run('ceph', '--connect-timeout', '5', '-s')) !== '')
  }

  async #startObjectStore(): Promise<void> {
    const id = randomUUID()
    await this.#run('ceph', 'osd', 'new', id)
    await this.#run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', id)
    await this.#run('ceph', 'osd', 'crush', 'add', 'osd.0', '1', 'root=default', 'host=localhost')
    this.#spawn('ceph-osd', '-i', '0')
    await this.#until(async () => (await this.#run('ceph', 'osd', 'stat')).includes('1 up'))
  }

  async #addUser(name: string): Promise<CephUser> {
    const [accessKeyId, secretAccessKey] = [randomBytes(8).toString('hex'), randomBytes(16).toString('hex')]
    const keys = ['--access-key', accessKeyId, '--secret', secretAccessKey]
    await this.#run('radosgw-admin', 'user', 'create', '--uid', name, '--display-name', name, ...keys)
    return { name, accessKeyId, secretAccessKey }
  }

  async #run(program: string, ...args: readonly string[]): Promise<string> {
    const conf = this.#directory.join('ceph.conf')
    const { stdout } = await run(program, ['-c', conf, ...args], {
      env: { ...process.env, CEPH_CONF: conf },
      timeout: 30_000,
    })
    return stdout
  }

  #spawn(daemon: string, ...args: readonly string[]): void {
    const conf = this.#directory.join('ceph.conf')
    const [program, ...rest] = tiedToUs([daemon, '-f', '-c', conf, ...args])
    const child = spawn(program, rest, {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.#directory.path,
      env: { ...process.env, CEPH_CONF: conf },
    })
    child.stderr.on('data', (text: Buffer) => {
      this.#said += text.toString()
    })
    this.#daemons.push(child)
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!(await holds().catch(() => false))) {
      const dead = this.#daemons.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)
      if (dead || Date.now() > deadline) throw new Error(this.#said)
      await wait(50)
    }
  }

  /** One of everything, in memory, without authentication among themselves, and in a hurry. */
  #configuration(id: string, monitor: number, gateway: number): string {
    const place = (...names: string[]) => this.#directory.join(...names)
    const ports = randomInt(30_000, 58_000)
    return `
[global]
fsid = ${id}
mon_host = v1:127.0.0.1:${String(monitor)}/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv4 = true
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = ${place('run')}
admin_socket = ${place('run')}/$name.$pid.asok
pid_file = ${place('run')}/$name.pid
log_file =
log_to_file = false
log_to_syslog = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
ms_dispatch_throttle_bytes = 1048576000
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_osd_min_up_ratio = 0
[mon.a]
mon_data = ${place('mon')}
[osd]
ms_bind_port_min = ${String(ports)}
ms_bind_port_max = ${String(ports + 200)}
osd_data = ${place('osd')}
osd_objectstore = memstore
osd_heartbeat_interval = 1
osd_mon_report_interval = 1
osd_memory_target = 939524096
memstore_device_bytes = 4294967296
osd_heartbeat_use_min_delay_socket = false
osd_class_load_list = *
osd_class_default_list = *
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${String(gateway)} tcp_nodelay=1
rgw_data = ${place('rgw')}
rgw_dns_name = localhost
rgw_thread_pool_size = 32
rgw_max_concurrent_requests = 64
rgw_num_control_oids = 1
rgw_num_rados_handles = 1
rgw_enable_usage_log = false
rgw_lc_debug_interval = -1
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = testkey-1=${randomBytes(32).toString('base64')}
rgw_enable_apis = s3, admin
`
  }
}
