export { type Durations, type Figures, figures, type LastSuccess, type Sizes } from './figures.ts'
