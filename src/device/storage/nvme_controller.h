#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "bus/pci/pci_function.h"
#include "device/storage/nvme.h"
#include "device/storage/pci_interrupt.h"

namespace mynah {

// An Nvme as a PCI Express function: registers and doorbells in BAR 0, one MSI-X vector for each
// queue there, or the pin.
//
// Work goes to the back end on the thread that rings the bell, with no lock held.
class NvmeController final : private MediumJobOwner, private IoHandler {
  public:
    // The backend must outlive the controller.
    NvmeController(const PciAttachment& attachment, BlockBackend& backend, NvmeOptions options);
    // Waits until nothing is with the back end.
    ~NvmeController() override;
    NvmeController(const NvmeController&) = delete;
    NvmeController& operator=(const NvmeController&) = delete;

    PciFunction& function() { return function_; }

    // The board's reset; not from within a completion of the back end. Waits until nothing is with
    // the back end.
    void reset() EXCLUDES(lock_);

  private:
    struct Step {
        NvmeTask* ready = nullptr;
        uint64_t messages = 0;
    };

    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(lock_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(lock_);
    void job_done(MediumJob& job, BlockStatus status) override EXCLUDES(lock_);
    Step next() REQUIRES(lock_);
    // Starts the work, and what becomes ready meanwhile; then interrupts.
    void work(Step step) EXCLUDES(lock_);

    PciFunction function_;
    PciInterrupt intx_;
    Mutex lock_;
    std::condition_variable_any over_;  // something came back from the back end
    Nvme chip_ GUARDED_BY(lock_);
    unsigned inside_ GUARDED_BY(lock_) = 0;  // threads of the back end in job_done()
};

}  // namespace mynah
