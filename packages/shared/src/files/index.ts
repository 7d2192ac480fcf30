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
