// A device of its own in host memory, to find on a CPU what would fail on a GPU. Every operator is computed by the
// CPU's kernel on copies; what a GPU refuses is refused, and what makes a GPU wait is counted:
//
//  * tensors of two devices in one operator, and a generator of another device than the tensors;
//  * reading an element or a whole tensor back (a wait), and copying from memory that is not pinned (a wait);
//  * a copy to the host that was asked not to wait holds garbage until the device is synchronised.
//
// Loaded by tests/pretend/device.py.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <ATen/ops/unfold_cpu_dispatch.h>
#include <ATen/ops/view_cpu_dispatch.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

using at::Tensor;
constexpr auto OWN = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(OWN, 0);

// ---- what was counted

std::mutex lock;
std::map<std::string, long> counted;
thread_local int inside = 0;  // a fallback is copying tensors: that is no wait of the program under test

void count(const std::string& what) {
  if (inside) return;
  std::lock_guard<std::mutex> held(lock);
  counted[what]++;
}

struct Inside {
  Inside() { inside++; }
  ~Inside() { inside--; }
};

// ---- memory

std::atomic<size_t> allocated{0}, peak{0}, limit{size_t(1) << 40};

struct Block {
  void* memory;
  size_t size;
};

struct DeviceMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    if (allocated + size > limit)
      C10_THROW_ERROR(OutOfMemoryError, "pretend out of memory: " + std::to_string(size) + " bytes were asked for");
    allocated += size;
    if (allocated > peak) peak = allocated.load();
    auto* block = new Block{c10::GetDefaultCPUAllocator()->raw_allocate(size), size};
    return {block->memory, block, &release, DEVICE};
  }
  static void release(void* context) {
    auto* block = static_cast<Block*>(context);
    allocated -= block->size;
    c10::GetDefaultCPUAllocator()->raw_deallocate(block->memory);
    delete block;
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
DeviceMemory device_memory;
REGISTER_ALLOCATOR(OWN, &device_memory);

std::map<const char*, size_t> pinned;  // begin → size

struct PinnedMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* memory = c10::GetDefaultCPUAllocator()->raw_allocate(size ? size : 1);
    std::lock_guard<std::mutex> held(lock);
    pinned[static_cast<char*>(memory)] = size;
    return {memory, memory, &release, c10::Device(c10::DeviceType::CPU)};
  }
  static void release(void* memory) {
    {
      std::lock_guard<std::mutex> held(lock);
      pinned.erase(static_cast<char*>(memory));
    }
    c10::GetDefaultCPUAllocator()->raw_deallocate(memory);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
PinnedMemory pinned_memory;

bool is_pinned(const void* place) {
  std::lock_guard<std::mutex> held(lock);
  auto next = pinned.upper_bound(static_cast<const char*>(place));
  if (next == pinned.begin()) return false;
  auto [begin, size] = *std::prev(next);
  return place < begin + size;
}

// ---- copies to the host that nobody waited for

struct Late {
  Tensor from, to;
};
std::vector<Late> late;

void finish_copies() {
  std::vector<Late> ready;
  {
    std::lock_guard<std::mutex> held(lock);
    ready.swap(late);
  }
  for (auto& one : ready) std::memcpy(one.to.data_ptr(), one.from.const_data_ptr(), one.to.nbytes());
}

// ---- device, streams and generators

const c10::Stream STREAM(c10::Stream::DEFAULT, DEVICE);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = OWN;
  Guard() = default;
  explicit Guard(c10::DeviceType) {}
  c10::DeviceType type() const override { return OWN; }
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return STREAM; }
  c10::Stream getDefaultStream(c10::Device) const override { return STREAM; }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return STREAM; }
  c10::Stream getNewStream(c10::Device, int) const override { return STREAM; }
  c10::Stream exchangeStream(c10::Stream) const override { return STREAM; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    *event = this_event();
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return late.empty(); }
  bool queryStream(const c10::Stream&) const override { return late.empty(); }
  void synchronizeStream(const c10::Stream&) const override { finish_copies(); }
  void synchronizeEvent(void*) const override { finish_copies(); }
  void synchronizeDevice(const c10::DeviceIndex) const override { finish_copies(); }
  static void* this_event() {
    static int event;
    return &event;
  }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct OwnGenerator final : c10::GeneratorImpl {
  OwnGenerator() : GeneratorImpl(DEVICE, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}
  at::Generator host = at::detail::createCPUGenerator();
  void set_current_seed(uint64_t seed) override { host.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { host.set_offset(offset); }
  uint64_t get_offset() const override { return host.get_offset(); }
  uint64_t current_seed() const override { return host.current_seed(); }
  uint64_t seed() override { return host.seed(); }
  void set_state(const c10::TensorImpl& state) override { host.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return host.unsafeGetGeneratorImpl()->get_state(); }
  OwnGenerator* clone_impl() const override {
    auto* copy = new OwnGenerator();
    copy->host = host.clone();
    return copy;
  }
};

at::Generator& default_generator() {
  static at::Generator one = at::make_generator<OwnGenerator>();
  return one;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::Device getDeviceFromPtr(void*) const override { return DEVICE; }
  bool isPinnedPtr(const void* place) const override { return is_pinned(place); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return default_generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<OwnGenerator>(); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t size) const override {
    at::native::resize_bytes_cpu(storage.unsafeGetStorageImpl(), size);
  }
};

// ---- making tensors

Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &device_memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &device_memory,
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

const Tensor& resize(const Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  at::native::resize_impl_cpu_(self.unsafeGetTensorImpl(), size, std::nullopt);
  if (format) self.unsafeGetTensorImpl()->empty_tensor_restride(*format);
  return self;
}

// A CPU tensor on the same memory.
Tensor on_host(const Tensor& own) {
  if (own.device().type() != OWN) return own;
  auto owner = own;
  return at::from_blob(const_cast<void*>(own.const_data_ptr()), own.sizes(), own.strides(),
                       [owner](void*) {}, own.options().device(at::kCPU));
}

Tensor on_device(const Tensor& host) {
  Tensor own = at::empty_strided(host.sizes(), host.strides(), host.options().device(DEVICE));
  on_host(own).copy_(host);
  return own;
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool non_blocking) {
  const bool to_host = to.device().type() != OWN, from_host = from.device().type() != OWN;
  if (to_host) {
    Tensor content = on_host(from).to(to.scalar_type());
    if (non_blocking && !inside) {
      TORCH_CHECK(to.is_contiguous() && to.numel(), "a late copy wants a plain tensor");
      std::memset(to.data_ptr(), 0xff, to.nbytes());
      std::lock_guard<std::mutex> held(lock);
      late.push_back({content.clone(at::MemoryFormat::Contiguous), to});
      return to;
    }
    count("read back");
    if (!inside) finish_copies();
    to.copy_(content.view(from.sizes()));
    return to;
  }
  if (from_host && !(non_blocking && is_pinned(from.const_data_ptr())) && from.numel())
    count(from.dim() ? "copied in from unpinned memory" : "copied in a number");
  on_host(to).copy_(on_host(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar(const Tensor& self) {
  count("read back an element");
  if (!inside) finish_copies();
  return on_host(self).item();
}

bool equal(const Tensor& one, const Tensor& other) {
  TORCH_CHECK(one.device() == other.device(), "Cannot compare two tensors on different devices. Got: ", one.device(),
              " and ", other.device());
  count("read back an element");
  return at::equal(on_host(one), on_host(other));
}

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                   c10::IntArrayRef stride, c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
                   c10::IntArrayRef output_padding, int64_t groups) {
  TORCH_CHECK(input.device() == weight.device() && (!bias || !bias->defined() || bias->device() == weight.device()),
              "Expected all tensors to be on the same device");
  std::optional<Tensor> own = bias && bias->defined() ? std::optional<Tensor>(on_host(*bias)) : std::nullopt;
  return on_device(at::convolution(on_host(input), on_host(weight), own, stride, padding, dilation, transposed,
                                   output_padding, groups));
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient, const Tensor& input, const Tensor& weight, c10::IntArrayRef stride,
    c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed, c10::IntArrayRef output_padding,
    int64_t groups, std::array<bool, 3> wanted) {
  auto [a, b, c] = at::convolution_backward(on_host(gradient), on_host(input), on_host(weight),
                                            c10::IntArrayRef({weight.size(transposed ? 1 : 0)}), stride, padding,
                                            dilation, transposed, output_padding, groups, wanted);
  auto back = [](const Tensor& one) { return one.defined() ? on_device(one) : one; };
  return {back(a), back(b), back(c)};
}

int64_t attention_choice(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>& mask, double, bool,
                         std::optional<double>, bool) {
  if (mask) TORCH_CHECK(mask->device().type() == OWN, "Expected attn_mask to be on the device of query");
  return static_cast<int64_t>(sdp::SDPBackend::math);
}

// ---- all other operators

const std::set<std::string> WAITS = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
                                     "aten::unique_consecutive", "aten::repeat_interleave", "aten::bincount"};
const std::set<std::string> TAKES_INDICES = {"aten::index", "aten::index_put_", "aten::_index_put_impl_",
                                             "aten::index_put"};

std::vector<Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  if (value.isTensorList()) return value.toTensorVector();
  std::vector<Tensor> found;
  if (value.isList())
    for (const c10::IValue& one : value.toListRef())
      if (one.isTensor()) found.push_back(one.toTensor());
  return found;
}

void check(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& name = op.schema().name();
  const auto n = op.schema().arguments().size();
  bool own = false, host = false;
  for (size_t i = 0; i < n; i++) {
    c10::IValue& value = (*stack)[stack->size() - n + i];
    for (const Tensor& one : tensors_of(value)) {
      if (!one.defined()) continue;
      if (one.device().type() == OWN) {
        own = true;
        if (i && TAKES_INDICES.count(name) && (one.scalar_type() == at::kBool || one.scalar_type() == at::kByte))
          if (value.isList()) count("chose by a mask");
      } else if (TAKES_INDICES.count(name) && value.isList()) {
        count("copied in from unpinned memory");  // indices from the host are taken, and waited for
      } else if (one.dim() > 0 || (i == 0 && name.back() == '_')) {
        host = true;
      }
    }
  }
  TORCH_CHECK(!(own && host), "Expected all tensors to be on the same device, but found at least two devices, pretend:0 "
                              "and cpu! (in ", op.schema(), ")");
  for (size_t i = 0; i < n; i++) {
    c10::IValue& value = (*stack)[stack->size() - n + i];
    if (!value.isGenerator()) continue;
    at::Generator given = value.toGenerator();
    TORCH_CHECK(given.device().type() == OWN, "Expected a 'pretend' device type for generator but found '",
                given.device().type(), "'");
    value = static_cast<OwnGenerator*>(given.unsafeGetGeneratorImpl())->host;
  }
  if (WAITS.count(name)) count("waited for a size");
}

// Random numbers come from the device's own generator, also where none is named.
void name_generator(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& arguments = op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); i++) {
    c10::IValue& value = (*stack)[stack->size() - arguments.size() + i];
    if (value.isNone() && arguments[i].name() == "generator")
      value = static_cast<OwnGenerator*>(default_generator().unsafeGetGeneratorImpl())->host;
  }
}

// Whether an operator writes into tensors of a list: cpu_fallback would lose what it wrote.
bool writes_list(const c10::OperatorHandle& op) {
  for (const auto& argument : op.schema().arguments()) {
    const auto* alias = argument.alias_info();
    if (!alias || argument.type()->kind() != c10::TypeKind::ListType) continue;
    if (alias->isWrite()) return true;
    for (const auto& one : alias->containedTypes())
      if (one.isWrite()) return true;
  }
  return false;
}

void in_place_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto n = op.schema().arguments().size();
  for (size_t i = stack->size() - n; i < stack->size(); i++) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor() && value.toTensor().defined()) value = on_host(value.toTensor());
    if (!value.isTensorList()) continue;
    c10::List<Tensor> hosts;
    for (const Tensor& one : value.toTensorVector()) hosts.push_back(on_host(one));
    value = hosts;
  }
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check(op, stack);
  name_generator(op, stack);
  Inside copies;
  if (writes_list(op)) return in_place_on_host(op, stack);
  at::native::cpu_fallback(op, stack);
}

Tensor& set_range(Tensor& self, at::Storage source, int64_t offset, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::cpu::set_(self, source, offset, size, stride);
}
Tensor& set_storage(Tensor& self, at::Storage source) {
  const int64_t n = static_cast<int64_t>(source.nbytes() / self.dtype().itemsize());
  return at::cpu::set_(self, source, 0, {n}, {1});
}
Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return at::cpu::set_(self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}
void record_stream(Tensor&, c10::Stream) {}

Tensor reshape_alias(const Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return at::cpu::as_strided_symint(self, size, stride, std::nullopt);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("resize_", resize);
  m.impl("as_strided", at::cpu::as_strided);
  m.impl("view", at::cpu::view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("unfold", at::cpu::unfold);
  m.impl("set_.source_Storage_storage_offset", set_range);
  m.impl("set_.source_Storage", set_storage);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", local_scalar);
  m.impl("equal", equal);
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
  m.impl("record_stream", record_stream);
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOW(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(LOW)
#define FULL(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_FP32(FULL)
#define SET_DTYPE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
  AT_FORALL_FP32_SET_OPT_DTYPE(SET_DTYPE)
#define WIDEST(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_PROMOTE(WIDEST)
}

namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &attention_choice)
}

extern "C" {
void pretend_begin() {
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
}
void pretend_seed(uint64_t seed) { default_generator().set_current_seed(seed); }
size_t pretend_state_size() { return default_generator().get_state().numel(); }
void pretend_get_state(char* to) {
  const Tensor state = default_generator().get_state();
  std::memcpy(to, state.const_data_ptr(), state.numel());
}
void pretend_set_state(const char* from, size_t size) {
  Tensor state = at::empty({static_cast<int64_t>(size)}, at::kByte);
  std::memcpy(state.data_ptr(), from, size);
  default_generator().set_state(state);
}
void pretend_synchronize() { finish_copies(); }
// "what\tn\n…", valid until the next call
const char* pretend_counted() {
  static std::string said;
  std::lock_guard<std::mutex> held(lock);
  said.clear();
  for (auto& [what, n] : counted) said += what + "\t" + std::to_string(n) + "\n";
  return said.c_str();
}
void pretend_forget() {
  std::lock_guard<std::mutex> held(lock);
  counted.clear();
}
size_t pretend_allocated() { return allocated; }
size_t pretend_peak() { return peak; }
void pretend_reset_peak() { peak = allocated.load(); }
size_t pretend_limit() { return limit; }
void pretend_set_limit(size_t bytes) { limit = bytes; }
}
