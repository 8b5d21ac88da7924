#include "device/storage/nvme_controller.h"

#include <bit>
#include <utility>

#include "device/storage/nvme_identity.h"

namespace mynah {

namespace {

constexpr uint32_t kClassNvme = 0x010802;
constexpr uint8_t kRevision = 1;

// BAR 0: registers, doorbells at 1000h, MSI-X table and pending bits.
constexpr uint64_t kBarSize = 0x4000;
constexpr uint32_t kMsixTable = 0x2000, kMsixPending = 0x3000;

}  // namespace

NvmeController::NvmeController(const PciAttachment& attachment, BlockBackend& backend,
                               NvmeOptions options)
    : function_(attachment,
                {kNvmeVendor, kNvmeDevice, kClassNvme, kRevision, kNvmeVendor, kNvmeDevice}),
      intx_(function_),
      chip_(function_.dma(), backend, *this, options) {
    function_.add_bar(0, PciFunction::Bar::kMemory64, kBarSize, *this);
    function_.add_express(PciFunction::Express::kEndpoint);
    function_.add_msix(options.queues + 1u, 0, kMsixTable, kMsixPending);
}

NvmeController::~NvmeController() {
    MutexLock hold(lock_);
    chip_.reset();
    while (!chip_.drained() || inside_ > 0) over_.wait(lock_);
}

void NvmeController::reset() {
    Step step;
    {
        MutexLock hold(lock_);
        chip_.reset();
        while (!chip_.drained()) over_.wait(lock_);
        step = next();
    }
    work(step);
    function_.reset();
}

// Registers are accessed whole; other writes are none [NVMe 3.1].
uint64_t NvmeController::read(uint64_t offset, unsigned size) {
    MutexLock hold(lock_);
    if (size >= 4 && offset % size == 0) return chip_.read(offset, size);
    return chip_.read(offset & ~uint64_t{3}, 4) >> (8 * (offset & 3));
}

void NvmeController::write(uint64_t offset, unsigned size, uint64_t value) {
    if (size < 4 || offset % size != 0) return;
    Step step;
    {
        MutexLock hold(lock_);
        chip_.write(offset, size, value);
        step = next();
    }
    work(step);
}

NvmeController::Step NvmeController::next() {
    intx_.want(chip_.interrupt());
    return {chip_.take_ready(), chip_.take_messages()};
}

void NvmeController::work(Step step) {
    uint64_t messages = step.messages;
    while (step.ready != nullptr) {
        const auto status = step.ready->start(step.ready->work, step.ready->slices.slices());
        MutexLock hold(lock_);
        if (status) {
            chip_.finished(*step.ready, *status);
            over_.notify_all();
        }
        step = next();
        messages |= step.messages;
    }
    intx_.flush();
    for (; messages != 0; messages &= messages - 1) {
        function_.send_msi(static_cast<unsigned>(std::countr_zero(messages)));
    }
}

void NvmeController::job_done(MediumJob& job, BlockStatus status) {
    Step step;
    {
        MutexLock hold(lock_);
        ++inside_;
        chip_.finished(static_cast<NvmeTask&>(job), status);
        over_.notify_all();
        step = next();
    }
    work(step);
    MutexLock hold(lock_);
    if (--inside_ == 0) over_.notify_all();
}

}  // namespace mynah
