#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>

#include "base/mutex.h"

struct io_uring;

namespace mynah {

// Reads and writes of files that the kernel carries out while the caller goes on [io_uring(7)].
// Any thread starts them, several at once; a thread of the ring tells when they are done.
class IoRing {
  public:
    // Belongs to the ring from its start until done().
    class Transfer {
      public:
        // Bytes moved, or the negative number of an error. On the ring's thread, which holds no lock;
        // may start transfers, this one too.
        virtual void done(int result) = 0;

      protected:
        ~Transfer() = default;
    };

    // Null if the host offers none: too old, forbidden, out of locked memory.
    static std::unique_ptr<IoRing> create();
    // Nothing may be in flight.
    ~IoRing();
    IoRing(const IoRing&) = delete;
    IoRing& operator=(const IoRing&) = delete;

    // As preadv2 and pwritev2, with the same flags. False: not started, there are too many already.
    // The vectors, as well as what they point to, stay until the transfer is done.
    [[nodiscard]] bool read(int fd, std::span<const iovec> to, uint64_t offset, int flags,
                            Transfer& transfer);
    [[nodiscard]] bool write(int fd, std::span<const iovec> from, uint64_t offset, int flags,
                             Transfer& transfer);

  private:
    explicit IoRing(std::unique_ptr<io_uring> ring);
    template <typename Prepare>
    bool start(Transfer& transfer, Prepare prepare);
    void serve();

    const std::unique_ptr<io_uring> ring_;
    Mutex submission_;  // the submission queue has one producer at a time
    // What a thread did before it started a transfer was done before the transfer is: the kernel sees
    // to that, but it is no part of the language, nor do checking tools know.
    std::atomic<uint64_t> started_{0};
    std::thread thread_;
};

}  // namespace mynah
