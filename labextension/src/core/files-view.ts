import { el, setVisible } from './dom';
import type { Host } from './host';
import { failureNode, ValueView } from './view-parts';
import { fileSize } from './file-size';
import type { RunFile } from './types';

/** Files that a list of the server has at most. */
const MAX_LISTED = 1000;

/** The files that a run's steps have saved, as links where the host can give them; hidden if none. */
export class FilesView {
  readonly node = el('section', { class: 'files', hidden: true });
  private readonly list: ValueView<RunFile[]>;
  private readonly notice = el('div', {});

  /**
   * @param id - the run's id
   * @param host - what tells the addresses of files
   */
  constructor(id: string, host: Host) {
    this.list = new ValueView((files, node) => {
      node.append(el('ul', {}, ...files.map(file => row(file, host.fileUrl?.(id, file.path)))));
      if (files.length >= MAX_LISTED) {
        const words = `These are the first ${MAX_LISTED.toLocaleString()} files; there may be more.`;
        node.append(el('p', { class: 'note' }, words));
      }
    });
    this.node.append(el('h4', {}, 'Files'), this.notice, this.list.node);
  }

  /** Show the files. */
  update(files: RunFile[]): void {
    setVisible(this.node, files.length > 0);
    this.notice.replaceChildren();
    this.list.update(files.length > 0 ? files : null);
  }

  /** Say that the files can't be listed. */
  fail(words: string, retry: () => void): void {
    setVisible(this.node, true);
    this.notice.replaceChildren(failureNode(`The files can't be listed. ${words}`, retry));
  }
}

function row(file: RunFile, url: string | undefined): HTMLElement {
  const name =
    url === undefined
      ? el('span', { class: 'file' }, file.path)
      : el('a', { class: 'file', href: url, download: '' }, file.path);
  return el('li', {}, name, ' ', el('span', { class: 'size' }, fileSize(file.size)));
}

/**
 * Tell the address of the file of a run whose path a text is; null if the text is none.
 *
 * Steps export such paths as they are where the step ran, on whatever system that is.
 */
export function fileLink(host: Host, id: string, text: string): string | null {
  const isPath = /^(?:[A-Za-z]:)?[\\/]/.test(text) && !text.includes('pdflow/api/');
  const [, file, ...more] = text.split(/[\\/]/).join('/').split(`/${id}/`);
  return isPath && file && more.length === 0 ? (host.fileUrl?.(id, file) ?? null) : null;
}
