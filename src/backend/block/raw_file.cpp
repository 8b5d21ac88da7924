#include "backend/block/raw_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "backend/block/image/probe.h"
#include "backend/block/image/slice_cursor.h"
#include "backend/block/image/vector_cursor.h"
#include "base/bits.h"
#include "base/log.h"

namespace mynah {

// Lives from its start until the request is done.
class RawFile::Waiting final : public IoRing::Transfer {
  public:
    Waiting(RawFile& disk, BlockRequest& request, uint64_t done)
        : disk_(disk), request_(request), cursor_(request.slices), done_(done) {
        cursor_.advance(done);
    }

    // False: not started.
    bool start() {
        const auto vectors = cursor_.gather(vectors_);
        const int fd = disk_.file_->fd();
        const uint64_t at = request_.offset + done_;
        if (request_.operation == BlockOperation::kRead)
            return disk_.ring_->read(fd, vectors, at, 0, *this);
        const int flags = disk_.wants_durable(request_) ? RWF_DSYNC : 0;
        return disk_.ring_->write(fd, vectors, at, flags, *this);
    }

    void done(int result) override {
        if (result > 0) {
            done_ += static_cast<uint64_t>(result);
            cursor_.advance(static_cast<uint64_t>(result));
        }
        const bool again = result == -EINTR || result == -EAGAIN;
        if (done_ < request_.size && (result > 0 || again) && start()) return;
        // A thread that ends takes its transfers with it (ECANCELED), and there are file systems
        // without durable writes: the rest is done here.
        const bool here = (result > 0 && done_ < request_.size) || again ||
                          result == -ECANCELED || result == -EOPNOTSUPP;
        const BlockStatus status = done_ == request_.size ? BlockStatus::kOk
                                   : here                 ? finish_here()
                                   : result == 0          ? disk_.file_->cut_short(request_.offset + done_)
                                                          : disk_.file_->failed(-result, request_.offset);
        RawFile& disk = disk_;
        BlockRequest& request = request_;
        delete this;
        disk.finish(request, status);
    }

  private:
    BlockStatus finish_here() {
        SliceCursor rest(request_.slices);
        rest.take(done_);
        const auto slices = rest.take(request_.size - done_);
        const uint64_t at = request_.offset + done_;
        return request_.operation == BlockOperation::kRead
                   ? disk_.file_->read_disk(at, slices)
                   : disk_.file_->write_disk(at, slices, request_.durable);
    }

    RawFile& disk_;
    BlockRequest& request_;
    VectorCursor cursor_;
    VectorCursor::Vectors vectors_;
    uint64_t done_;  // bytes
};

RawFile::RawFile(std::unique_ptr<HostFile> file, BlockGeometry geometry,
                 const RawFileOptions& options, Executor& slow_work)
    : file_(std::move(file)),
      geometry_(geometry),
      guards_start_(!options.format_given),
      discard_(options.discard),
      slow_work_(slow_work),
      ring_(options.asynchronous ? IoRing::create() : nullptr) {}

RawFile::~RawFile() {
    MutexLock hold(lock_);
    while (in_flight_ > 0) idle_.wait(lock_);
}

void RawFile::begin() {
    MutexLock hold(lock_);
    ++in_flight_;
}

void RawFile::finish(BlockRequest& request, BlockStatus status) {
    request.completion->block_done(request, status);
    MutexLock hold(lock_);
    if (--in_flight_ == 0) idle_.notify_all();
}

void RawFile::submit(BlockRequest& request) {
    const auto done = [&request](BlockStatus status) {
        request.completion->block_done(request, status);
    };
    const bool reads = request.operation == BlockOperation::kRead;
    const bool flushes = request.operation == BlockOperation::kFlush;
    if (!reads && !flushes && geometry_.read_only) return done(BlockStatus::kReadOnly);
    if (!flushes &&
        (request.offset > geometry_.size || request.size > geometry_.size - request.offset))
        return done(BlockStatus::kIoError);
    if (guards_start_ && request.operation == BlockOperation::kWrite &&
        request.offset < kSignatureBytes && request.size > 0)
        return done(write_start(request));
    if (reads || request.operation == BlockOperation::kWrite) {
        BlockStatus status;
        if (transfer(request, status)) done(status);
        return;
    }
    const CacheMode cache = file_->cache();
    if (flushes && (geometry_.read_only || writes_through(cache) || cache == CacheMode::kUnsafe))
        return done(BlockStatus::kOk);
    begin();
    slow_work_.post([this, &request] { finish(request, run_slow(request)); });
}

bool RawFile::wants_durable(const BlockRequest& request) const {
    return writes_through(file_->cache()) ||
           (request.durable && file_->cache() != CacheMode::kUnsafe);
}

bool RawFile::transfer(BlockRequest& request, BlockStatus& status) {
    if (request.operation == BlockOperation::kRead) {
        uint64_t done = 0;
        status = file_->read_cached(request.offset, request.slices, done);
        if (status != BlockStatus::kOk || done == request.size) return true;
        if (wait_elsewhere(request, done)) return false;
        SliceCursor rest(request.slices);
        rest.take(done);
        status = file_->read_disk(request.offset + done, rest.take(request.size - done));
        return true;
    }
    const bool waits = bypasses_page_cache(file_->cache()) || wants_durable(request);
    if (waits && request.size > 0 && wait_elsewhere(request, 0)) return false;
    status = file_->write_disk(request.offset, request.slices, request.durable);
    return true;
}

// True: the ring does the rest of the request.
bool RawFile::wait_elsewhere(BlockRequest& request, uint64_t done) {
    if (ring_ == nullptr || !file_->aligned(request.offset, request.slices)) return false;
    // What is changed in part would have to be kept from it.
    if (file_->direct_alignment() > geometry_.logical_block_size) return false;
    auto waiting = std::make_unique<Waiting>(*this, request, done);
    begin();
    if (waiting->start()) {
        (void)waiting.release();
        return true;
    }
    MutexLock hold(lock_);
    --in_flight_;
    return false;
}

// A write to the first block. A guest could choose its next start's disk format, and with it files
// of the host to read; so the block is copied, for the guest may change its memory, and looked at.
BlockStatus RawFile::write_start(const BlockRequest& request) {
    alignas(512) std::array<std::byte, kSignatureBytes> start{};
    SliceCursor cursor(request.slices);
    const Slice first = Slice(start).first(std::min<uint64_t>(request.size, start.size()));
    cursor.copy_out(first);
    if (const char* format = signature_format(start); format != nullptr) {
        static LogLimit limit;
        if (limit.allow())
            log(LogLevel::kWarning, "a guest's write that would make its raw disk look like a {} "
                                    "image was refused; with format=raw it is allowed", format);
        return BlockStatus::kIoError;
    }
    std::vector<Slice> slices{first};
    const auto rest = cursor.take(request.size - first.size());
    slices.insert(slices.end(), rest.begin(), rest.end());
    return file_->write_disk(request.offset, slices, request.durable);
}

BlockStatus RawFile::run_slow(const BlockRequest& request) {
    switch (request.operation) {
        case BlockOperation::kFlush:
            return file_->flush();
        case BlockOperation::kDiscard: {
            if (!discard_) return BlockStatus::kOk;
            // Only whole blocks can lose their storage; the ragged ends would be zeroed for no
            // gain.
            const uint64_t unit = geometry_.discard_alignment;
            const uint64_t start = align_up(request.offset, unit);
            const uint64_t end = align_down(request.offset + request.size, unit);
            return start < end ? file_->discard(start, end - start) : BlockStatus::kOk;
        }
        case BlockOperation::kWriteZeroes: {
            const BlockStatus status =
                file_->write_zeroes(request.offset, request.size, request.may_unmap);
            return status == BlockStatus::kOk && wants_durable(request) ? file_->flush() : status;
        }
        case BlockOperation::kRead:
        case BlockOperation::kWrite:
            break;
    }
    return BlockStatus::kIoError;
}

}  // namespace mynah
