export {
  newestSlot,
  nextSlots,
  nextTimes,
  type PlannedTime,
  repeatStrategy,
  slotToAsk,
  spreadOf,
} from './slots.ts'
