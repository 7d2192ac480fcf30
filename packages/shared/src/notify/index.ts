export { composeMessage, type FinishedRun, type Message, messageSchema } from './message.ts'
export { sendWebhook, type SendOptions, type WebhookTarget } from './webhook.ts'
