import { describe, expect, it } from '@jest/globals'
import { html } from './html.ts'

describe('the template', () => {
  it('escapes what is put into text and attributes', () => {
    const hostile = `"><script>alert('&')</script>`
    expect(html`<a title="${hostile}">${hostile}</a>`.toString()).toBe(`<a title="${escaped}">${escaped}</a>`)
  })

  it('leaves alone what comes from a template, in lists too', () => {
    const items = ['a', '<'].map((text) => html`<li>${text}</li>`)
    expect(html`<b>${items}</b>`.toString()).toBe('<b><li>a</li><li>&lt;</li></b>')
  })

  it('shows nothing for undefined', () => {
    expect(html`<p>${undefined}${0}</p>`.toString()).toBe('<p>0</p>')
  })
})

const escaped = '&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;'
