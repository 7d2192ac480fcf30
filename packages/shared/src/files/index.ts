export {
  createFileDurably,
  ensureDirectory,
  exists,
  freeSpace,
  isTemporaryName,
  removeFileDurably,
  removeTemporaries,
  privateFile,
  temporaryName,
  writeFileDurably,
} from './files.ts'
export { writeStreamDurably } from './stream.ts'
