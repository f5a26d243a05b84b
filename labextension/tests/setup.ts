// jsdom has no DragEvent, which Lumino reads when it is loaded.
globalThis.DragEvent = MouseEvent as unknown as typeof DragEvent;
