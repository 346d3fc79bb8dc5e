/** Where the client that orval has generated goes: its `baseUrl` is `{ runtime: 'apiOrigin()' }`. */
let origin = ''

export function apiOrigin(): string {
  return origin
}

export function setApiOrigin(url: string): void {
  origin = url
}
