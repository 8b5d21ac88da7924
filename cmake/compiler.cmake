# Warnings, compiler launcher and linker that every target shares.
add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_compile_options(-Wthread-safety)
endif()

find_program(MYNAH_CCACHE ccache)
if(MYNAH_CCACHE)
  # Sources of several worktrees share one cache: paths are taken relative to the source tree.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${MYNAH_CCACHE})
endif()

find_program(MYNAH_MOLD mold)
if(MYNAH_MOLD AND NOT MYNAH_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()
