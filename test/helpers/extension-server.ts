import { chmod, copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findTools, startThrowawayServer, type ThrowawayServer } from '@securyflex/shared/postgres'
import { temporaryDirectory } from './temporary-directory.ts'

/**
 * A server with an extension that no package has. PostgreSQL finds its other files relative to where its
 * programs lie, so that a copy of the programs has a directory of extensions of its own. Debian's layout.
 *
 * @param files control file and scripts, by name
 */
export async function serverWithExtension(
  files: Readonly<Record<string, string>>,
): Promise<ThrowawayServer & AsyncDisposable> {
  const { directory: programs, major } = await findTools(15)
  const root = await temporaryDirectory()
  // The server runs as another user.
  await chmod(root.path, 0o755)
  const bin = root.join(programs)
  await mkdir(bin, { recursive: true })
  for (const name of ['postgres', 'initdb']) await copyFile(join(programs, name), join(bin, name))
  await symlink(join(dirname(programs), 'lib'), join(dirname(bin), 'lib'))
  const shared = `/usr/share/postgresql/${String(major)}`
  await cp(shared, root.join(shared), { recursive: true, dereference: true })
  for (const [name, content] of Object.entries(files))
    await writeFile(root.join(shared, 'extension', name), content)
  const server = await startThrowawayServer({ binDirectory: bin, listen: 'loopback' })
  const stop = async () => {
    await server.stop()
    await root.remove()
  }
  return { ...server, stop, [Symbol.asyncDispose]: stop }
}
