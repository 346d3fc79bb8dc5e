import type { Schema } from '../core/call/schema.ts'
import { refusal } from '../core/errors/refusal.ts'

/** What one type of event carries; see {@link webhook}. */
export interface Webhook<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly schema: Schema<any, Data>
  /** What the schema describes: the part that the scheme calls its data, or the whole payload. */
  readonly of: 'data' | 'payload'
}

/** How a {@link webhook} is read. */
export interface WebhookOptions {
  /** What the schema describes: the part that the scheme calls its data (`data`, Stripe's `data.object`), or the whole payload. @defaultValue 'data' */
  readonly of?: 'data' | 'payload' | undefined
}

/** An event as the handler gets it: verified, read, and typed by its `type`. */
export interface WebhookEvent<Type extends string = string, Data = unknown> {
  readonly type: Type
  /** The sender's own id: the same for each delivery of the event. */
  readonly id: string
  readonly data: Data
  /** When it was sent, where the scheme signs that. */
  readonly sentAt: Date | undefined
  readonly receivedAt: Date
  /** 1 for the first run of the handler. */
  readonly attempt: number
  /** The whole payload, as JSON has it. */
  readonly payload: unknown
  /** The bytes that were signed. */
  readonly body: Uint8Array
}

/** Definitions of events by any name: a part of a contract. */
export interface Webhooks {
  readonly [name: string]: Webhook<string, any>
}

/** The events of some definitions, told apart by `type`. */
export type EventOf<Hooks extends Webhooks> = {
  [Name in keyof Hooks]: Hooks[Name] extends Webhook<infer Type, infer Data> ? WebhookEvent<Type, Data> : never
}[keyof Hooks]

/**
 * Defines a type of event that a sender delivers, with the type or the schema of what it carries.
 *
 * @param type - as the sender names it: `order.shipped`.
 * @param schema - `type<Shipment>()`, or a Standard Schema, which then validates.
 * @throws {CallError} `invalid_argument` when `type` is no text, or `schema` none.
 * @example
 * const shipped = webhook('order.shipped', type<Shipment>())
 */
export function webhook<const Type extends string, Data>(
  type: Type,
  schema: Schema<any, Data>,
  { of = 'data' }: WebhookOptions = {},
): Webhook<Type, Data> {
  if (typeof type !== 'string' || type === '') throw refusal('webhook() takes the type of an event, a text', undefined)
  if (typeof schema?.['~standard'] !== 'object')
    throw refusal(`webhook('${type}') takes type<T>() or a Standard Schema`, undefined)
  return { type, schema, of }
}

/** The body that a description of OpenAPI gives a webhook. */
type BodyOf<Item> = Item extends {
  readonly post: { readonly requestBody?: { readonly content: infer Content } }
}
  ? Content[keyof Content & `${string}json${string}`]
  : never

/**
 * Defines events by the `webhooks` of an OpenAPI 3.1 description, as openapi-typescript generates its types: what is
 * described there is the whole payload.
 *
 * @example
 * const hook = openapiWebhooks<webhooks>()
 * const events = { newPet: hook('newPet'), soldPet: hook('soldPet', { type: 'pet.sold' }) }
 */
export function openapiWebhooks<Descriptions>() {
  const schema = { '~standard': { version: 1, vendor: 'polywire', validate: (value: unknown) => ({ value }) } }
  return <const Name extends keyof Descriptions & string, const Type extends string = Name>(
    name: Name,
    { type = name as string as Type }: { readonly type?: Type } = {},
  ): Webhook<Type, BodyOf<Descriptions[Name]>> => webhook(type, schema as Schema<any, any>, { of: 'payload' })
}
