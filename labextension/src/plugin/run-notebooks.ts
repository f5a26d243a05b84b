import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { IEditorServices } from '@jupyterlab/codeeditor';
import type { INotebookContent } from '@jupyterlab/nbformat';
import { NotebookModel, StaticNotebook } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { downloadIcon, notebookIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import type { Run } from '../core/types';
import { ActionButton } from './action-button';
import { asReadOnly } from './safe-output';
import { CommandIDs } from './tokens';

/** What {@link RunNotebooks} needs of JupyterLab. */
export interface RunNotebookServices {
  shell: JupyterFrontEnd.IShell;
  rendermime: IRenderMimeRegistry;
  contentFactory: StaticNotebook.IContentFactory;
  editorServices: IEditorServices;
  /** Downloads the notebook of a run. */
  download: (run: string) => void;
}

/** The executed notebook of a run: a view of its content, without a file and without a kernel. */
class RunNotebook extends StaticNotebook {
  /**
   * @param run - the run's id
   * @param content - the notebook
   * @param services - services of JupyterLab
   */
  constructor(
    readonly run: string,
    content: INotebookContent,
    { rendermime, contentFactory, editorServices }: RunNotebookServices
  ) {
    super({
      rendermime: rendermime.clone(),
      contentFactory,
      mimeTypeService: editorServices.mimeTypeService,
      notebookConfig: { ...StaticNotebook.defaultNotebookConfig, windowingMode: 'defer' }
    });
    const model = new NotebookModel();
    model.fromJSON(asReadOnly(content));
    this.model = model;
    // The keys scroll it.
    this.node.tabIndex = 0;
  }

  override dispose(): void {
    const { model } = this;
    super.dispose();
    model?.dispose();
  }

  protected override onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) {
      this.node.focus({ preventScroll: true });
    }
  }
}

/** The executed notebooks of runs in the main area: one for each run that is open so. */
export class RunNotebooks {
  private readonly tracker = new WidgetTracker<MainAreaWidget<RunNotebook>>({
    namespace: 'jupyter-pdflow-run-notebooks'
  });

  /** @param services - services of JupyterLab */
  constructor(private readonly services: RunNotebookServices) {}

  /** Show the notebook of a run if it is open. Returns whether it is. */
  reveal(run: string): boolean {
    const tab = this.tracker.find(({ content }) => content.run === run);
    if (tab) {
      this.services.shell.activateById(tab.id);
    }
    return tab !== undefined;
  }

  /** Open the notebook of a run. */
  open(run: Run, content: INotebookContent): void {
    const { shell } = this.services;
    const tab = new MainAreaWidget({ content: new RunNotebook(run.id, content, this.services) });
    const name = run.title ?? run.workflow_name;
    tab.id = `jupyter-pdflow-run-notebook-${run.id}`;
    tab.title.label = `${name} (notebook)`;
    tab.title.caption = `${name}\nrun ${run.id}, as a notebook`;
    tab.title.icon = notebookIcon;
    tab.title.closable = true;
    this.fillToolbar(tab, run.id);
    void this.tracker.add(tab);
    shell.add(tab, 'main', { type: 'Workflow run' });
    shell.activateById(tab.id);
  }

  /** Open the notebooks again that were open when the page was left. */
  restore(restorer: ILayoutRestorer): void {
    void restorer.restore(this.tracker, {
      command: CommandIDs.openNotebook,
      args: ({ content }) => ({ run: content.run }),
      name: ({ content }) => content.run
    });
  }

  private fillToolbar({ toolbar }: MainAreaWidget, run: string): void {
    const note = new Widget();
    note.addClass('jp-pdflow-read-only');
    note.node.textContent = 'Read-only, as the run has left it';
    toolbar.addItem('pdflow-read-only', note);
    const download = new ActionButton({
      icon: downloadIcon,
      label: 'Download',
      tooltip: 'Download this notebook',
      onClick: () => this.services.download(run)
    });
    download.addClass('jp-pdflow-download');
    toolbar.addItem('pdflow-download', download);
  }
}
