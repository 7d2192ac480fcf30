import { tellThousands } from './thousands.ts'

tellThousands('first')
