export {
  createFileDurably,
  ensureDirectory,
  exists,
  freeSpace,
  isTemporaryName,
  removeFileDurably,
  temporaryName,
  writeFileDurably,
} from './files.ts'
export { writeStreamDurably } from './stream.ts'
