/**
 * What openapi-typescript 7 makes of a small description, written by hand after its output: members that are not there
 * are optional and `never`.
 */

export interface paths {
  '/pets': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    /** List all pets */
    get: operations['listPets']
    put?: never
    /** Create a pet */
    post: operations['createPet']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/pets/{petId}': {
    parameters: {
      query?: never
      header?: never
      path: {
        /** @description The pet */
        petId: string
      }
      cookie?: never
    }
    get: operations['showPetById']
    put: operations['replacePet']
    post?: never
    delete: operations['deletePet']
    options?: never
    head: operations['headPet']
    patch: operations['patchPet']
    trace?: never
  }
  '/pets/{petId}/publish': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    post: operations['publishPet']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/login': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get?: never
    put?: never
    post: operations['login']
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
  '/health': {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    get: operations['health']
    put?: never
    post?: never
    delete?: never
    options?: never
    head?: never
    patch?: never
    trace?: never
  }
}
export type webhooks = Record<string, never>
export interface components {
  schemas: {
    Pet: {
      /** Format: int64 */
      id: number
      name: string
      tag?: string | null
    }
    NewPet: {
      name: string
      tag?: string
    }
    Error: {
      code: number
      message: string
    }
  }
  responses: never
  parameters: never
  requestBodies: never
  headers: never
  pathItems: never
}
export type $defs = Record<string, never>
export interface operations {
  listPets: {
    parameters: {
      query?: {
        /** @description How many items to return at one time (max 100) */
        limit?: number
        status?: 'available' | 'sold'
      }
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description A page of pets */
      200: {
        headers: {
          /** @description A link to the next page */
          'x-next'?: string
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Pet'][]
        }
      }
      /** @description unexpected error */
      default: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Error']
        }
      }
    }
  }
  createPet: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        'application/json': components['schemas']['NewPet']
        'application/x-www-form-urlencoded': components['schemas']['NewPet']
      }
    }
    responses: {
      /** @description Created */
      201: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Pet']
        }
      }
      /** @description Invalid */
      422: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Error']
        }
      }
    }
  }
  showPetById: {
    parameters: {
      query?: never
      header?: {
        'If-None-Match'?: string
      }
      path: {
        /** @description The pet */
        petId: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Pet']
        }
      }
      404: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Error']
        }
      }
    }
  }
  replacePet: {
    parameters: {
      query?: never
      header?: never
      path: {
        petId: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        'application/json': components['schemas']['NewPet']
      }
    }
    responses: {
      '2XX': {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Pet']
        }
      }
      '4XX': {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Error']
        }
      }
    }
  }
  deletePet: {
    parameters: {
      query?: never
      header?: never
      path: {
        petId: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      /** @description No Content */
      204: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  headPet: {
    parameters: {
      query?: never
      header?: never
      path: {
        petId: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      200: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  patchPet: {
    parameters: {
      query: {
        dryRun: boolean
      }
      header?: never
      path: {
        petId: string
      }
      cookie?: never
    }
    requestBody?: {
      content: {
        'application/merge-patch+json': Partial<components['schemas']['NewPet']>
      }
    }
    responses: {
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': components['schemas']['Pet']
        }
      }
    }
  }
  publishPet: {
    parameters: {
      query?: never
      header?: never
      path: {
        petId: string
      }
      cookie?: never
    }
    requestBody?: never
    responses: {
      202: {
        headers: {
          [name: string]: unknown
        }
        content?: never
      }
    }
  }
  login: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody: {
      content: {
        'application/x-www-form-urlencoded': {
          user: string
          password: string
        }
      }
    }
    responses: {
      200: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            token: string
          }
        }
      }
    }
  }
  health: {
    parameters: {
      query?: never
      header?: never
      path?: never
      cookie?: never
    }
    requestBody?: never
    responses: {
      default: {
        headers: {
          [name: string]: unknown
        }
        content: {
          'application/json': {
            ok: boolean
          }
        }
      }
    }
  }
}
