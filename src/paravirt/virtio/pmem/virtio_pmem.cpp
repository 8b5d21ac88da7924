#include "paravirt/virtio/pmem/virtio_pmem.h"

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"
#include "spec/virtio/pmem.h"

namespace mynah {

using namespace virtio::pmem;

struct VirtioPmem::Flush : BlockRequest {
    VirtioQueue* queue = nullptr;
    DescriptorChain chain;
};

VirtioPmem::~VirtioPmem() {
    mutex_.lock();
    while (out_ != 0) all_back_.wait(mutex_);
    mutex_.unlock();
}

uint32_t VirtioPmem::device_id() const { return virtio::kDevicePmem; }

void VirtioPmem::read_config(uint64_t offset, std::span<std::byte> to) const {
    read_config_bytes(Config{start_.value, size_}, offset, to);
}

void VirtioPmem::serve(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) begin(queue, std::move(chain));
}

void VirtioPmem::begin(VirtioQueue& queue, DescriptorChain chain) {
    uint32_t type = 0;
    if (chain.writable.size() < sizeof type ||
        !chain.readable.take_front(std::as_writable_bytes(std::span(&type, 1))))
        return queue.reject();
    if (type != kFlush) return answer(queue, chain, kFailed);
    auto flush = std::make_unique<Flush>();
    flush->operation = BlockOperation::kFlush;
    flush->completion = this;
    flush->queue = &queue;
    flush->chain = std::move(chain);
    {
        MutexLock lock(mutex_);
        ++out_;
    }
    file_.submit(*flush.release());  // comes back in block_done()
}

void VirtioPmem::block_done(BlockRequest& request, BlockStatus status) {
    const std::unique_ptr<Flush> flush(static_cast<Flush*>(&request));
    answer(*flush->queue, flush->chain, status == BlockStatus::kOk ? kDone : kFailed);
    MutexLock lock(mutex_);
    if (--out_ == 0) all_back_.notify_all();
}

void VirtioPmem::answer(VirtioQueue& queue, DescriptorChain& chain, uint32_t result) {
    const uint64_t size = chain.writable.fill(std::as_bytes(std::span(&result, 1)));
    queue.wrote(chain.writable);
    queue.give_back(chain.head, static_cast<uint32_t>(size));
}

}  // namespace mynah
