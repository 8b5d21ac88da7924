#include "engine/translator/code_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

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
    const int fd = memfd_create("translated-code", MFD_CLOEXEC);
    if (fd < 0) return failed("memfd_create");
    if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
        Error error = failed("ftruncate");
        close(fd);
        return error;
    }
    void* write = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (write == MAP_FAILED) {
        Error error = failed("mmap");
        close(fd);
        return error;
    }
    void* execute = mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (execute == MAP_FAILED) {
        Error error = failed("mmap of executable memory");
        munmap(write, size);
        close(fd);
        return error;
    }
    return std::unique_ptr<CodeMemory>(new CodeMemory(size, fd, static_cast<std::byte*>(write),
                                                      static_cast<std::byte*>(execute)));
}

CodeMemory::~CodeMemory() {
    munmap(write_, size_);
    munmap(execute_, size_);
    close(fd_);
}

void CodeMemory::discard(size_t from) {
    from = align_up(from, size_t{4096});
    if (from >= size_) return;
    fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
              static_cast<off_t>(size_ - from));
}

}  // namespace mynah::translator
