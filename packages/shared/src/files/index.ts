export {
  createFileDurably,
  ensureDirectory,
  exists,
  freeSpace,
  isTemporaryName,
  temporaryName,
  writeFileDurably,
} from './files.ts'
