import type { Credential } from '../../../src/core/call/auth.ts'
import { isSameCredential } from './credential.ts'

/** Which credentials a server has refused, as far as that decides what a link does next. */
export class Refusals {
  /** Refused on a live socket: another one renews it. */
  #stale: Credential | undefined
  /** Refused together with an open stream: opening it again with the same one is pointless. */
  #refused: Credential | undefined

  /** A live socket of this credential must be renewed for one with another. */
  mustRenew(current: Credential | undefined, credential: Credential | undefined): boolean {
    if (!this.#stale || !credential) return false
    return isSameCredential(current, this.#stale) && !isSameCredential(credential, this.#stale)
  }

  isRefused(credential: Credential | undefined): boolean {
    return credential !== undefined && isSameCredential(credential, this.#refused)
  }

  /** The server refused it for something on a live socket. */
  onLive(credential: Credential | undefined): void {
    this.#stale = credential
  }

  /**
   * The server refused it for a stream that was open, or for the whole socket. Says whether opening again with another
   * one is worth a try: once, until the server sends something; never where there is none to be exchanged.
   */
  onOpen(credential: Credential | undefined): boolean {
    const isFirst = this.#refused === undefined
    this.#refused = credential
    return isFirst && credential !== undefined
  }

  /** A socket is ready, or has been renewed with another credential. */
  ready(isRenewal: boolean): void {
    this.#stale = undefined
    if (isRenewal) this.#refused = undefined
  }

  /** A message of the application has come. */
  progressed(): void {
    this.#refused = undefined
  }
}
