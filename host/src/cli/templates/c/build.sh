# Makes the core module $1, of which `plimsoll plugin build` makes the component.
exec "${CC:-clang}" --target=wasm32-unknown-unknown -O2 -mbulk-memory -ffreestanding -nostdlib -Wall $CFLAGS -isystem libc \
  -Wl,--no-entry,--strip-debug,--compress-relocations,-z,stack-size=131072 -o "$1" \
  plugin.c libc/libc.c bindings/{{role}}_plugin.c bindings/{{role}}_plugin_component_type.o
