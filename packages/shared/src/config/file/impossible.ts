import { type Document, type Node, visit } from 'yaml'

/** Something that YAML allows and no configuration can have. */
export interface Impossible {
  readonly node: Node
  readonly ancestors: readonly Node[]
  readonly what: string
  readonly remedy: string
}

/** Aliases that stand for nothing, or for what they are in; and the one name that JavaScript keeps for itself. */
export function findImpossible(document: Document): Impossible[] {
  const found: Impossible[] = []
  visit(document, {
    Alias(_, node, path) {
      const ancestors = path as readonly Node[]
      const meant = node.resolve(document)
      if (meant !== undefined && !ancestors.includes(meant)) return
      const what =
        meant === undefined
          ? `“*${node.source}” stands for what is marked “&${node.source}”, and nothing before it is`
          : `“*${node.source}” stands for what it is in itself`
      const remedy = `Where the sign “*” is meant, use quotation marks: "*${node.source}".`
      found.push({ node, ancestors, what, remedy })
    },
    Scalar(key, node, path) {
      if (key !== 'key' || node.value !== '__proto__') return
      const what = 'the name “__proto__” is not possible'
      found.push({ node, ancestors: path as readonly Node[], what, remedy: 'Write for example shop.' })
    },
  })
  return found
}
