export { newestSlot, nextSlots, nextTimes, type PlannedTime, slotToAsk, spreadOf } from './slots.ts'
