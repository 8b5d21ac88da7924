#include "host/io_ring.h"

#include <liburing.h>
#include <pthread.h>

#include <cerrno>

namespace mynah {
namespace {

// More are refused: then the caller waits itself, which is what it should do.
constexpr unsigned kEntries = 128;

}  // namespace

std::unique_ptr<IoRing> IoRing::create() {
    auto ring = std::make_unique<io_uring>();
    if (io_uring_queue_init(kEntries, ring.get(), IORING_SETUP_CLAMP) != 0) return nullptr;
    return std::unique_ptr<IoRing>(new IoRing(std::move(ring)));
}

IoRing::IoRing(std::unique_ptr<io_uring> ring)
    : ring_(std::move(ring)), thread_([this] { serve(); }) {
    pthread_setname_np(thread_.native_handle(), "io-ring");
}

IoRing::~IoRing() {
    // An entry without a transfer ends the thread. The queue is never full: nothing is in flight.
    {
        MutexLock hold(submission_);
        io_uring_sqe* last = io_uring_get_sqe(ring_.get());
        io_uring_prep_nop(last);
        io_uring_sqe_set_data(last, nullptr);
        while (io_uring_submit(ring_.get()) == -EINTR) {
        }
    }
    thread_.join();
    io_uring_queue_exit(ring_.get());
}

bool IoRing::read(int fd, std::span<const iovec> to, uint64_t offset, int flags,
                  Transfer& transfer) {
    return start(transfer, [&](io_uring_sqe* entry) {
        io_uring_prep_readv2(entry, fd, to.data(), static_cast<unsigned>(to.size()), offset, flags);
    });
}

bool IoRing::write(int fd, std::span<const iovec> from, uint64_t offset, int flags,
                   Transfer& transfer) {
    return start(transfer, [&](io_uring_sqe* entry) {
        io_uring_prep_writev2(entry, fd, from.data(), static_cast<unsigned>(from.size()), offset,
                              flags);
    });
}

template <typename Prepare>
bool IoRing::start(Transfer& transfer, Prepare prepare) {
    MutexLock hold(submission_);
    io_uring_sqe* entry = io_uring_get_sqe(ring_.get());
    if (entry == nullptr) return false;
    prepare(entry);
    io_uring_sqe_set_data(entry, &transfer);
    started_.fetch_add(1, std::memory_order_release);
    int submitted;
    do submitted = io_uring_submit(ring_.get());
    while (submitted == -EINTR);
    if (submitted > 0) return true;
    // The kernel has not looked at the entry; it goes along with the next as one that does nothing.
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, this);
    return false;
}

void IoRing::serve() {
    for (;;) {
        io_uring_cqe* entry = nullptr;
        if (io_uring_wait_cqe(ring_.get(), &entry) != 0) continue;  // EINTR
        void* const data = io_uring_cqe_get_data(entry);
        const int result = entry->res;
        (void)started_.load(std::memory_order_acquire);
        io_uring_cqe_seen(ring_.get(), entry);
        if (data == nullptr) return;
        if (data != this) static_cast<Transfer*>(data)->done(result);
    }
}

}  // namespace mynah
