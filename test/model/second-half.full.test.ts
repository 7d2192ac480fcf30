import { tellThousands } from './thousands.ts'

tellThousands('second')
