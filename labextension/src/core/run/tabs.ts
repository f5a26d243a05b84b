import type { TemplateResult } from 'lit';
import { html, nothing } from 'lit';

/** One tab of {@link tabs}. */
export interface Tab<K extends string> {
  key: K;
  label: string;
  /** A number beside the label; 0 is not shown. */
  count?: number;
}

/** The properties of {@link tabs}. */
export interface TabsProps<K extends string> {
  /** The beginning of the elements' ids. */
  id: string;
  /** What the tabs are about, for screen readers. */
  name: string;
  tabs: readonly Tab<K>[];
  selected: K;
  onSelect: (key: K) => void;
  /** What the selected tab shows. */
  content: unknown;
}

/** Return tabs, and what the selected one shows. The arrow keys move between them. */
export function tabs<K extends string>(props: TabsProps<K>): TemplateResult {
  const { id, name, selected, content } = props;
  return html`<div class="jp-PDFlow-tabs" role="tablist" aria-label=${name} @keydown=${onKey}>
      ${props.tabs.map(tab => tabButton(tab, props))}
    </div>
    <div
      class="jp-PDFlow-tab-panel"
      role="tabpanel"
      tabindex="0"
      id="${id}-panel"
      aria-labelledby="${id}-${selected}"
    >
      ${content}
    </div>`;
}

function tabButton<K extends string>(
  { key, label, count = 0 }: Tab<K>,
  { id, selected, onSelect }: TabsProps<K>
): TemplateResult {
  const isSelected = key === selected;
  return html`<button
    type="button"
    class="jp-PDFlow-tab"
    role="tab"
    id="${id}-${key}"
    aria-selected=${isSelected}
    aria-controls="${id}-panel"
    tabindex=${isSelected ? 0 : -1}
    @click=${() => onSelect(key)}
  >
    <span class="jp-PDFlow-tab-label" data-label=${label}>${label}</span
    >${count > 0 ? html` <span class="jp-PDFlow-count">${count}</span>` : nothing}
  </button>`;
}

/** Move to another tab, and select it. */
function onKey(event: KeyboardEvent): void {
  const all = [...(event.currentTarget as Element).querySelectorAll<HTMLElement>('[role=tab]')];
  const at = all.indexOf(event.target as HTMLElement);
  const next = { ArrowLeft: at - 1, ArrowRight: (at + 1) % all.length, Home: 0, End: -1 }[
    event.key
  ];
  if (at >= 0 && next !== undefined) {
    event.preventDefault();
    const tab = all.at(next);
    tab?.focus();
    tab?.click();
  }
}
