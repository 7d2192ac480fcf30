export {
  createFileDurably,
  ensureDirectory,
  exists,
  freeSpace,
  isTemporaryName,
  removeDead,
  removeFileDurably,
  removeTemporaries,
  privateFile,
  temporaryName,
  writeFileDurably,
} from './files.ts'
export { type Disk, DiskBelow } from './near.ts'
export { writeStreamDurably } from './stream.ts'
