#include "engine/translator/code_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/bits.h"

namespace mynah::translator {

Result<std::unique_ptr<CodeMemory>> CodeMemory::create(size_t size) {
    size = align_up(size, size_t{4096});
    const auto failed = [](const char* what) {
        return Error(std::string("cannot make memory for translated code: ") + what + ": " +
                     std::strerror(errno));
    };
    // Shared memory without a file, whose second mapping mremap() makes: perf takes it for
    // anonymous, and so looks for names in its map.
    void* write =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (write == MAP_FAILED) return failed("mmap");
    void* execute = mremap(write, 0, size, MREMAP_MAYMOVE);
    if (execute == MAP_FAILED || mprotect(execute, size, PROT_READ | PROT_EXEC) != 0) {
        Error error = failed("mapping it executable");
        if (execute != MAP_FAILED) munmap(execute, size);
        munmap(write, size);
        return error;
    }
    return std::unique_ptr<CodeMemory>(new CodeMemory(size, static_cast<std::byte*>(write),
                                                      static_cast<std::byte*>(execute)));
}

CodeMemory::~CodeMemory() {
    munmap(write_, size_);
    munmap(execute_, size_);
}

void CodeMemory::discard(size_t from) {
    from = align_up(from, size_t{4096});
    if (from >= size_) return;
    madvise(write_ + from, size_ - from, MADV_REMOVE);
}

}  // namespace mynah::translator
