import { createReadStream, promises, type Stats } from 'node:fs'
import { resolve } from 'node:path'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { checkOptions, oneOf, type RulesOf } from '../../src/core/options.ts'

const { open: openFile, readFile, rename, rm, stat, writeFile } = promises

/** What `response: download()` gives. */
export interface ResumedDownload extends AsyncIterable<Uint8Array> {
  readonly start: number
  readonly offset: number
  readonly resumeHeaders: Readonly<Record<string, string>> | undefined
  addEarlier(bytes: Uint8Array): void
  restart(): Promise<void>
  cancel(): Promise<void>
}

/** What may be said of a file that is downloaded. */
export interface SaveFileOptions {
  /** A file that changes at the server meanwhile is begun anew, at most three times, or fails. @defaultValue 'restart' */
  readonly onChange?: 'restart' | 'fail' | undefined
}

const rules: RulesOf<SaveFileOptions> = { onChange: /* @__PURE__ */ oneOf('restart', 'fail') }
const maxRestarts = 3
const partChanged = 'part_changed'
const representationChanged = 'representation_changed'

/**
 * Downloads into a file, and goes on with what an earlier run has left, be it killed: the part that is there is kept
 * beside the file (`….part`, with `….part.json` that tells of which version it is), checked with the rest against the
 * digest, and takes the file's name when all is there.
 *
 * @param path - where the file is to stand; what stands there is replaced at the end.
 * @param open - makes the call, with the headers that it is given. Where it was made conditional, and the server answers
 *   that nothing has changed (304), the file stays as it is.
 * @throws {CallError} what the download failed with; the part stays for the next run, but where its digest is wrong;
 *   `failed_precondition` where another download to this path is under way, where a folder stands there, and where the server
 *   says that nothing has changed while there is no file. What the disk fails with is thrown as it is.
 * @example
 * const fetchFile = get('/files/{name}', { response: download() })
 * await saveFile('a.iso', (headers) => client.call(fetchFile, { name: 'a.iso' }, { headers }))
 */
export async function saveFile(
  path: string,
  open: (headers: Readonly<Record<string, string>>) => Promise<ResumedDownload | undefined>,
  options: SaveFileOptions = {},
): Promise<{ readonly bytes: number }> {
  checkOptions('saveFile()', options, rules)
  if (typeof path !== 'string' || path === '') throw refused('its path is a text', 'invalid_argument')
  if (typeof open !== 'function') throw refused('its second argument makes the call', 'invalid_argument')
  const place = resolve(path)
  if (underWay.has(place)) throw refused('another download to this path is under way')
  underWay.add(place)
  try {
    return await save(path, open, options)
  } finally {
    underWay.delete(place)
  }
}

/** Two would write into one part. */
const underWay = new Set<string>()

async function save(
  path: string,
  open: (headers: Readonly<Record<string, string>>) => Promise<ResumedDownload | undefined>,
  { onChange = 'restart' }: SaveFileOptions,
): Promise<{ readonly bytes: number }> {
  const part = `${path}.part`
  const note = `${part}.json`
  const before = await fileAt(path)
  if (before?.isDirectory()) throw refused('a folder stands at this path')
  const forget = () => Promise.all([part, note].map((each) => rm(each, { force: true })))
  const left = await leftOf(part, note)
  let download: ResumedDownload | undefined
  try {
    download = await open(left)
  } catch (error) {
    if (!left.range || !isOfAnother(error)) throw error
    await forget()
    if (onChange === 'fail') throw error
    download = await open({})
  }
  // The server says that the file at hand still holds.
  if (!download) {
    if (before) return { bytes: before.size }
    throw failed('the server says that nothing has changed (304), and there is no file: leave the condition out', {})
  }
  if (typeof download.addEarlier !== 'function') {
    // A stream of bytes would hold its connection.
    await (download as Partial<ResumedDownload>).cancel?.()
    throw failed('the call gave no download: its operation says response: download()', { code: 'invalid_argument' })
  }
  for (let restarts = 0; ; restarts++) {
    try {
      await write(download, part, note)
      break
    } catch (error) {
      const { reason } = Object(error) as { reason?: unknown }
      // What is there is none of the file.
      if (['digest_mismatch', representationChanged, partChanged].includes(reason as string)) await forget()
      if (reason !== representationChanged || onChange === 'fail' || restarts >= maxRestarts) {
        // The disk may have failed, and not the download.
        await download.cancel()
        throw error
      }
      await download.restart()
    }
  }
  await rename(part, path)
  await rm(note, { force: true })
  return { bytes: download.offset }
}

/** The server says that what is there is a part of no file that it has now: it would be in the way for ever. */
function isOfAnother(error: unknown): boolean {
  const { reason, status } = Object(error) as { readonly reason?: unknown; readonly status?: unknown }
  return reason === representationChanged || status === 416
}

/** The headers that ask for the rest of what is there; none where there is nothing, or nothing tells of what it is. */
async function leftOf(part: string, note: string): Promise<Readonly<Record<string, string>>> {
  try {
    const [{ size }, text] = await Promise.all([stat(part), readFile(note, 'utf8')])
    const { validator } = JSON.parse(text) as { readonly validator?: unknown }
    // What no header may hold, somebody else has written.
    const isOurs = typeof validator === 'string' && /^[\x20-\x7e\x80-\xff]+$/.test(validator)
    return size > 0 && isOurs ? { range: `bytes=${size}-`, 'if-range': validator } : {}
  } catch {
    return {}
  }
}

async function write(download: ResumedDownload, part: string, note: string): Promise<void> {
  const { start, resumeHeaders } = download
  if (start > 0) for await (const chunk of createReadStream(part)) download.addEarlier(chunk as Buffer)
  // What is there of another version goes first: a run that is killed behind the note would leave it under that.
  const file = await openFile(part, start > 0 ? 'a' : 'w')
  try {
    // Before the bytes: a part of an unknown version is never gone on with.
    await writeFile(note, JSON.stringify({ validator: resumeHeaders?.['if-range'] }))
    for await (const chunk of download) await file.writeFile(chunk)
    await file.sync()
    // Somebody else has written into it: what the digest was made of is not what lies there.
    const { size } = await file.stat()
    if (size !== download.offset) throw otherSize()
  } finally {
    await file.close()
  }
}

function otherSize(): CallError {
  const message = 'somebody else has written into the part of the file: one download at a time may go to a path'
  return failed(message, { code: 'data_loss', reason: partChanged })
}

/** What stands there; undefined where nothing does. */
async function fileAt(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch {
    return undefined
  }
}

function refused(what: string, code: Failure['code'] = 'failed_precondition'): CallError {
  return new CallError({ code, message: `saveFile(): ${what}; nothing was sent`, phase: 'resolve', sent: 'no' })
}

function failed(message: string, more: Partial<Failure>): CallError {
  return new CallError({ code: 'failed_precondition', message, phase: 'body', sent: 'yes', ...more })
}
